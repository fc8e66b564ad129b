import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Message } from '../../stand-ins/pubsub/message.ts';
import { Snapshot } from '../../stand-ins/pubsub/snapshot.ts';

const HOUR_MS = 3_600_000;
const WEEK_MS = 7 * 24 * HOUR_MS;

function message(sequence: number, publishTimeMs = 0): Message {
  return {
    messageId: String(sequence),
    data: Buffer.from('x'),
    attributes: {},
    orderingKey: '',
    publishTimeMs,
    sequence,
  };
}

function snapshot(backlog: readonly Message[], nextSequence: number, nowMs: number): Snapshot {
  const name = 'projects/p/snapshots/abc';
  return new Snapshot(
    { name, topic: 'projects/p/topics/abc', labels: { a: 'b' }, backlog, nextSequence },
    nowMs,
  );
}

describe('snapshot', () => {
  it('has what was unacknowledged and what came later', () => {
    const taken = snapshot([message(1), message(3)], 4, 0);
    assert.equal(taken.has(message(1)), true);
    assert.equal(taken.has(message(2)), false);
    assert.equal(taken.has(message(3)), true);
    assert.equal(taken.has(message(4)), true);
  });

  it('keeps what is published later', () => {
    const taken = snapshot([message(1)], 2, 0);
    taken.keep(message(2));
    assert.deepEqual(
      taken.messages.map(({ messageId }) => messageId),
      ['1', '2'],
    );
  });

  it('lives a week less the age of its oldest message', () => {
    const nowMs = 3 * 24 * HOUR_MS;
    assert.equal(snapshot([], 0, nowMs).expireTimeMs, nowMs + WEEK_MS);
    assert.equal(
      snapshot([message(1, 1_000), message(2, 2_000)], 3, nowMs).expireTimeMs,
      1_000 + WEEK_MS,
    );
  });

  it('is refused where less than an hour of life is left', () => {
    assert.ok(snapshot([message(1)], 2, WEEK_MS - HOUR_MS));
    assert.throws(() => snapshot([message(1)], 2, WEEK_MS - HOUR_MS + 1), {
      name: 'Refusal',
      status: 'FAILED_PRECONDITION',
    });
  });

  it('tells its topic, labels and end', () => {
    assert.deepEqual(snapshot([], 0, 0).toWire(), {
      name: 'projects/p/snapshots/abc',
      topic: 'projects/p/topics/abc',
      labels: { a: 'b' },
      expireTime: { seconds: WEEK_MS / 1_000, nanos: 0 },
    });
  });
});
