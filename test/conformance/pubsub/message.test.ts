import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  requirePublishable,
  sizeOf,
  toWireMessage,
  type MessageContent,
} from '../../stand-ins/pubsub/message.ts';

function message(content: Partial<MessageContent> = {}): MessageContent {
  return { data: Buffer.from('x'), attributes: {}, orderingKey: '', ...content };
}

function attributes(count: number): Record<string, string> {
  return Object.fromEntries(Array.from({ length: count }, (_unused, index) => [`a${index}`, '']));
}

describe('publishable messages', () => {
  const taken: readonly (readonly [string, readonly MessageContent[]])[] = [
    ['an attribute without data', [message({ data: Buffer.alloc(0), attributes: { a: '' } })]],
    ['100 attributes', [message({ attributes: attributes(100) })]],
    ['a key of 256 bytes', [message({ attributes: { ['k'.repeat(256)]: 'v' } })]],
    ['a value of 1,024 bytes', [message({ attributes: { k: 'v'.repeat(1_024) } })]],
    ['an ordering key of 1,024 bytes', [message({ orderingKey: 'o'.repeat(1_024) })]],
    ['10 MB', [message({ data: Buffer.alloc(10_000_000) })]],
    ['1,000 messages', Array.from({ length: 1_000 }, () => message())],
  ];
  for (const [what, messages] of taken) {
    it(`may have ${what}`, () => {
      requirePublishable(messages);
    });
  }

  const refused: readonly (readonly [string, readonly MessageContent[]])[] = [
    ['no message', []],
    ['neither data nor attributes', [message({ data: Buffer.alloc(0) })]],
    ['an ordering key alone', [message({ data: Buffer.alloc(0), orderingKey: 'o' })]],
    ['101 attributes', [message({ attributes: attributes(101) })]],
    ['an empty key', [message({ attributes: { '': 'v' } })]],
    ['a key of 257 bytes', [message({ attributes: { ['k'.repeat(257)]: 'v' } })]],
    ['a key of 129 characters of two bytes', [message({ attributes: { ['ä'.repeat(129)]: 'v' } })]],
    ['a value of 1,025 bytes', [message({ attributes: { k: 'v'.repeat(1_025) } })]],
    ['an ordering key of 1,025 bytes', [message({ orderingKey: 'o'.repeat(1_025) })]],
    ['10 MB and a byte', [message({ data: Buffer.alloc(10_000_001) })]],
    [
      '10 MB in data and attributes',
      [message({ data: Buffer.alloc(10_000_000), attributes: { k: '' } })],
    ],
    ['10 MB in two messages', [message({ data: Buffer.alloc(10_000_000) }), message()]],
    ['1,001 messages', Array.from({ length: 1_001 }, () => message())],
    ['two ordering keys', [message({ orderingKey: 'a' }), message({ orderingKey: 'b' })]],
    ['a bad message behind a good one', [message(), message({ data: Buffer.alloc(0) })]],
  ];
  for (const [what, messages] of refused) {
    it(`may not have ${what}`, () => {
      assert.throws(
        () => {
          requirePublishable(messages);
        },
        { name: 'Refusal', status: 'INVALID_ARGUMENT' },
      );
    });
  }

  it('counts data, attributes and ordering key', () => {
    assert.equal(
      sizeOf({ data: Buffer.from('four'), attributes: { key: 'ä' }, orderingKey: 'o' }),
      4 + 3 + 2 + 1,
    );
  });

  it('goes out as it came in, with id and time', () => {
    const content = message({ attributes: { a: 'b' }, orderingKey: 'o' });
    assert.deepEqual(
      toWireMessage({ ...content, messageId: '7', publishTimeMs: 1_500, sequence: 0 }),
      { ...content, messageId: '7', publishTime: { seconds: 1, nanos: 500_000_000 } },
    );
  });
});
