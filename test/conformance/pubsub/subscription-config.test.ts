import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  readAckDeadline,
  readSubscription,
  toWireSubscription,
} from '../../stand-ins/pubsub/subscription-config.ts';
import type { WireSubscription } from '../../stand-ins/pubsub/wire.ts';

const DAY_SECONDS = 86_400;

function wire(fields: Partial<WireSubscription> = {}): WireSubscription {
  return {
    name: 'projects/p/subscriptions/abc',
    topic: 'projects/p/topics/abc',
    pushConfig: null,
    ackDeadlineSeconds: 0,
    retainAckedMessages: false,
    messageRetentionDuration: null,
    labels: {},
    enableMessageOrdering: false,
    expirationPolicy: null,
    filter: '',
    deadLetterPolicy: null,
    retryPolicy: null,
    ...fields,
  };
}

function seconds(value: number): { readonly seconds: number; readonly nanos: number } {
  return { seconds: value, nanos: 0 };
}

function backoff(minimum: number | null, maximum: number | null): Partial<WireSubscription> {
  return {
    retryPolicy: {
      minimumBackoff: minimum === null ? null : seconds(minimum),
      maximumBackoff: maximum === null ? null : seconds(maximum),
    },
  };
}

function attempts(maxDeliveryAttempts: number): Partial<WireSubscription> {
  return { deadLetterPolicy: { deadLetterTopic: 'projects/p/topics/dead', maxDeliveryAttempts } };
}

describe('subscription configuration', () => {
  it("has the product's defaults", () => {
    const config = readSubscription(wire());
    assert.equal(config.ackDeadlineMs, 10_000);
    assert.equal(config.retentionMs, 7 * DAY_SECONDS * 1_000);
    assert.equal(config.ttlMs, 31 * DAY_SECONDS * 1_000);
    assert.equal(config.push, undefined);
    assert.equal(config.retry, undefined);
    assert.equal(config.deadLetter, undefined);
  });

  it('never expires where the ttl is left out of the policy', () => {
    assert.equal(readSubscription(wire({ expirationPolicy: { ttl: null } })).ttlMs, undefined);
  });

  it('backs off 10 s to 600 s where the policy does not say', () => {
    assert.deepEqual(readSubscription(wire(backoff(null, null))).retry, {
      minimumBackoffMs: 10_000,
      maximumBackoffMs: 600_000,
    });
  });

  it('delivers 5 times where the dead-letter policy does not say', () => {
    assert.equal(readSubscription(wire(attempts(0))).deadLetter?.maxDeliveryAttempts, 5);
  });

  const taken: readonly (readonly [string, Partial<WireSubscription>])[] = [
    ['an ack deadline of 10 s', { ackDeadlineSeconds: 10 }],
    ['an ack deadline of 600 s', { ackDeadlineSeconds: 600 }],
    ['a retention of 10 minutes', { messageRetentionDuration: seconds(600) }],
    ['a retention of 31 days', { messageRetentionDuration: seconds(31 * DAY_SECONDS) }],
    ['a back-off of 0 to 600 s', backoff(0, 600)],
    ['a back-off that stays the same', backoff(30, 30)],
    ['5 attempts', attempts(5)],
    ['100 attempts', attempts(100)],
    ['a ttl of a day', { expirationPolicy: { ttl: seconds(DAY_SECONDS) } }],
    ['a filter', { filter: 'attributes:a' }],
    ['ordering', { enableMessageOrdering: true }],
    ['acknowledged messages kept', { retainAckedMessages: true }],
    [
      'a push',
      {
        pushConfig: {
          pushEndpoint: 'http://127.0.0.1:1/',
          attributes: {},
          noWrapper: { writeMetadata: true },
        },
      },
    ],
  ];
  for (const [what, fields] of taken) {
    it(`takes ${what}, and tells it again`, () => {
      const config = readSubscription(wire(fields));
      assert.deepEqual(readSubscription(toWireSubscription(config, undefined)), config);
    });
  }

  const refused: readonly (readonly [string, Partial<WireSubscription>, string])[] = [
    ['an ack deadline of 9 s', { ackDeadlineSeconds: 9 }, 'INVALID_ARGUMENT'],
    ['an ack deadline of 601 s', { ackDeadlineSeconds: 601 }, 'INVALID_ARGUMENT'],
    [
      'a retention under 10 minutes',
      { messageRetentionDuration: seconds(599) },
      'INVALID_ARGUMENT',
    ],
    [
      'a retention over 31 days',
      { messageRetentionDuration: seconds(31 * DAY_SECONDS + 1) },
      'INVALID_ARGUMENT',
    ],
    ['a back-off over 600 s', backoff(1, 601), 'INVALID_ARGUMENT'],
    ['a negative back-off', backoff(-1, 600), 'INVALID_ARGUMENT'],
    ['a back-off that shrinks', backoff(20, 10), 'INVALID_ARGUMENT'],
    ['a maximum below the default minimum', backoff(null, 5), 'INVALID_ARGUMENT'],
    ['4 attempts', attempts(4), 'OUT_OF_RANGE'],
    ['101 attempts', attempts(101), 'OUT_OF_RANGE'],
    [
      'a dead-letter policy without a topic',
      { deadLetterPolicy: { deadLetterTopic: '', maxDeliveryAttempts: 5 } },
      'INVALID_ARGUMENT',
    ],
    [
      'a ttl under a day',
      { expirationPolicy: { ttl: seconds(DAY_SECONDS - 1) } },
      'INVALID_ARGUMENT',
    ],
    ['a malformed filter', { filter: 'nonsense' }, 'INVALID_ARGUMENT'],
    ['a malformed name', { name: 'abc' }, 'INVALID_ARGUMENT'],
    ['a malformed topic', { topic: 'abc' }, 'INVALID_ARGUMENT'],
    ['exactly-once delivery', { enableExactlyOnceDelivery: true }, 'UNIMPLEMENTED'],
    ['BigQuery', { bigqueryConfig: {} }, 'UNIMPLEMENTED'],
    ['Cloud Storage', { cloudStorageConfig: {} }, 'UNIMPLEMENTED'],
    ['Bigtable', { bigtableConfig: {} }, 'UNIMPLEMENTED'],
    ['transforms', { messageTransforms: [{}] }, 'UNIMPLEMENTED'],
  ];
  for (const [what, fields, status] of refused) {
    it(`refuses ${what}`, () => {
      assert.throws(() => readSubscription(wire(fields)), { name: 'Refusal', status });
    });
  }

  it('tells the retention of its topic', () => {
    const config = readSubscription(wire());
    assert.deepEqual(toWireSubscription(config, 600_000).topicMessageRetentionDuration, {
      seconds: 600,
      nanos: 0,
    });
    assert.equal(toWireSubscription(config, undefined).topicMessageRetentionDuration, null);
  });

  it('reads an ack deadline with what 0 stands for', () => {
    assert.equal(readAckDeadline(0, 30), 30_000);
    assert.equal(readAckDeadline(60, 30), 60_000);
    assert.throws(() => readAckDeadline(0, 0), { name: 'Refusal', status: 'INVALID_ARGUMENT' });
  });
});
