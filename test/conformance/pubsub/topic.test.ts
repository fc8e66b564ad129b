import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Message } from '../../stand-ins/pubsub/message.ts';
import { Topic, readTopic, toWireTopic } from '../../stand-ins/pubsub/topic.ts';
import type { WireTopic } from '../../stand-ins/pubsub/wire.ts';

function wire(fields: Partial<WireTopic> = {}): WireTopic {
  return { name: 'projects/p/topics/abc', labels: {}, messageRetentionDuration: null, ...fields };
}

function message(sequence: number, publishTimeMs: number): Message {
  return {
    messageId: String(sequence),
    data: Buffer.from('x'),
    attributes: {},
    orderingKey: '',
    publishTimeMs,
    sequence,
  };
}

function idsOf(messages: readonly Message[]): readonly string[] {
  return messages.map(({ messageId }) => messageId);
}

describe('topic', () => {
  it('tells what it was made with', () => {
    const fields = { labels: { a: 'b' }, messageRetentionDuration: { seconds: 600, nanos: 0 } };
    assert.deepEqual(toWireTopic(readTopic(wire(fields))), {
      name: 'projects/p/topics/abc',
      ...fields,
      state: 'ACTIVE',
    });
  });

  const refused: readonly (readonly [string, Partial<WireTopic>, string])[] = [
    [
      'a retention under 10 minutes',
      { messageRetentionDuration: { seconds: 599, nanos: 0 } },
      'INVALID_ARGUMENT',
    ],
    [
      'a retention over 31 days',
      { messageRetentionDuration: { seconds: 31 * 86_400 + 1, nanos: 0 } },
      'INVALID_ARGUMENT',
    ],
    ['a malformed name', { name: 'projects/p/topics/a' }, 'INVALID_ARGUMENT'],
    ['a storage policy', { messageStoragePolicy: {} }, 'UNIMPLEMENTED'],
    ['a schema', { schemaSettings: {} }, 'UNIMPLEMENTED'],
    ['ingestion', { ingestionDataSourceSettings: {} }, 'UNIMPLEMENTED'],
    ['transforms', { messageTransforms: [{}] }, 'UNIMPLEMENTED'],
    ['a key of its own', { kmsKeyName: 'projects/p/…' }, 'UNIMPLEMENTED'],
  ];
  for (const [what, fields, status] of refused) {
    it(`refuses ${what}`, () => {
      assert.throws(() => readTopic(wire(fields)), { name: 'Refusal', status });
    });
  }

  it('keeps messages for its retention', () => {
    const topic = new Topic(
      readTopic(wire({ messageRetentionDuration: { seconds: 600, nanos: 0 } })),
    );
    topic.keep(message(1, 0), 0);
    topic.keep(message(2, 300_000), 300_000);
    assert.deepEqual(idsOf(topic.retained(600_000)), ['1', '2']);
    assert.deepEqual(idsOf(topic.retained(600_001)), ['2']);
    assert.deepEqual(idsOf(topic.retained(900_001)), []);
    assert.equal(topic.published, 2);
  });

  it('keeps nothing for a replay without retention, and remembers the last for a view', () => {
    const topic = new Topic(readTopic(wire()));
    for (let sequence = 0; sequence < 5_000; sequence += 1) topic.keep(message(sequence, 0), 0);
    assert.deepEqual(topic.retained(0), []);
    const remembered = topic.remembered(0);
    assert.ok(remembered.length >= 1_000 && remembered.length <= 2_000);
    assert.equal(remembered.at(-1)?.messageId, '4999');
    assert.equal(topic.published, 5_000);
  });
});
