import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Delivery } from '../../stand-ins/pubsub/consumer.ts';
import { Refusal } from '../../stand-ins/pubsub/refusal.ts';
import { Stream } from '../../stand-ins/pubsub/stream.ts';

interface Sent {
  readonly batches: (readonly Delivery[])[];
  readonly failures: Refusal[];
}

function stream(
  maxOutstandingMessages: number,
  maxOutstandingBytes: number,
): Sent & { stream: Stream } {
  const batches: (readonly Delivery[])[] = [];
  const failures: Refusal[] = [];
  const settings = { ackDeadlineMs: 10_000, maxOutstandingMessages, maxOutstandingBytes };
  const peer = {
    send: (deliveries: readonly Delivery[]) => void batches.push(deliveries),
    fail: (reason: Refusal) => void failures.push(reason),
  };
  return { stream: new Stream(settings, peer), batches, failures };
}

function delivery(ackId: string, sizeBytes = 1): Delivery {
  return {
    ackId,
    attempt: 1,
    message: {
      messageId: ackId,
      data: Buffer.alloc(sizeBytes),
      attributes: {},
      orderingKey: '',
      publishTimeMs: 0,
      sequence: 0,
    },
  };
}

describe('stream', () => {
  it('takes as many messages as its flow control allows', () => {
    const { stream: one } = stream(2, 0);
    one.accept(delivery('a'));
    assert.equal(one.hasRoom(), true);
    one.accept(delivery('b'));
    assert.equal(one.hasRoom(), false);
    one.ended('a');
    assert.equal(one.hasRoom(), true);
    one.ended('unknown');
    one.accept(delivery('c'));
    assert.equal(one.hasRoom(), false);
  });

  it('takes no more while so many bytes are outstanding', () => {
    const { stream: one } = stream(0, 100);
    one.accept(delivery('a', 99));
    assert.equal(one.hasRoom(), true);
    one.accept(delivery('b', 500));
    assert.equal(one.hasRoom(), false);
    one.ended('b');
    assert.equal(one.hasRoom(), true);
  });

  it('has no limits where they are 0', () => {
    const { stream: one } = stream(0, 0);
    for (let count = 0; count < 2_000; count += 1) one.accept(delivery(`a${count}`, 1_000));
    assert.equal(one.hasRoom(), true);
  });

  it('sends what it took in one go', () => {
    const { stream: one, batches } = stream(0, 0);
    for (const ackId of ['a', 'b']) one.accept(delivery(ackId));
    one.flush();
    one.flush();
    assert.deepEqual(
      batches.map((batch) => batch.map(({ ackId }) => ackId)),
      [['a', 'b']],
    );
  });

  it('sends no more at once than a client takes', () => {
    const { stream: one, batches } = stream(0, 0);
    for (const ackId of ['a', 'b', 'c', 'd']) one.accept(delivery(ackId, 4_000_000));
    one.flush();
    assert.deepEqual(
      batches.map(({ length }) => length),
      [2, 2],
    );
  });

  it('fails with the reason for which it is dismissed', () => {
    const { stream: one, failures } = stream(0, 0);
    const reason = new Refusal('NOT_FOUND', 'deleted');
    one.dismiss(reason);
    assert.deepEqual(failures, [reason]);
  });
});
