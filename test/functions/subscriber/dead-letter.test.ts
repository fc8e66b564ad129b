import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { EncodedEvent } from '../../../functions/contract/codec.ts';
import { deadLetter, replayed } from '../../../functions/subscriber/dead-letter.ts';

const message: EncodedEvent = {
  attributes: { 'ce-id': '1', 'Content-Type': 'application/json', team: 'a' },
  data: Buffer.from('{"x":1}'),
};

describe('dead letter', () => {
  it('keeps the message and says why', () => {
    const letter = deadLetter(message, { code: 'EVENT_INVALID', field: 'data.image' });
    assert.deepEqual(letter.attributes, {
      ...message.attributes,
      'error-code': 'EVENT_INVALID',
      'error-field': 'data.image',
    });
    assert.equal(letter.data, message.data);
  });

  it('names no field where there is none', () => {
    const { attributes } = deadLetter(message, { code: 'SOURCE_FORBIDDEN', field: undefined });
    assert.equal('error-field' in attributes, false);
  });

  it("stays within Pub/Sub's limits, CloudEvents attributes first", () => {
    const many = Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`a${n}`, 'x']));
    const letter = deadLetter(
      { ...message, attributes: { ...many, ...message.attributes } },
      { code: 'EVENT_INVALID', field: 'é'.repeat(2000) },
    );
    assert.equal(Object.keys(letter.attributes).length, 100);
    assert.equal(letter.attributes['ce-id'], '1');
    assert.equal(letter.attributes['Content-Type'], 'application/json');
    assert.ok(Buffer.byteLength(letter.attributes['error-field'] ?? '') <= 1024);
    const field = 'x'.repeat(1024);
    assert.equal(
      deadLetter(message, { code: 'EVENT_INVALID', field }).attributes['error-field'],
      field,
    );
    const over = deadLetter(message, { code: 'EVENT_INVALID', field: `${field}x` });
    assert.equal(over.attributes['error-field'], field.slice(3));
    const large = { attributes: { ...many, ...message.attributes }, data: Buffer.alloc(9_990_000) };
    const cut = deadLetter(large, { code: 'EVENT_INVALID', field: 'data' });
    assert.equal(Object.keys(cut.attributes).length, 100);
    assert.equal(cut.attributes['ce-id'], '1');
  });

  it('is cut where it would be too large for Pub/Sub, and says so, once', () => {
    const large = { attributes: message.attributes, data: Buffer.alloc(10_000_000 - 100) };
    const letter = deadLetter(large, { code: 'EVENT_TOO_LARGE', field: 'data' });
    const sizeOf = ({ data, attributes }: EncodedEvent): number =>
      data.length + Object.entries(attributes).flat().join('').length;
    assert.equal(sizeOf(letter), 9_990_000);
    assert.ok(letter.data.equals(large.data.subarray(0, letter.data.length)));
    assert.deepEqual(letter.attributes, {
      ...message.attributes,
      'error-code': 'EVENT_TOO_LARGE',
      'error-field': 'data',
      'error-data-bytes': '9999900',
    });
    const again = deadLetter(replayed(letter), { code: 'EVENT_INVALID', field: 'x'.repeat(100) });
    assert.equal(again.attributes['error-data-bytes'], '9999900');
    const why = { code: 'EVENT_INVALID', field: 'data' } as const;
    const roomBytes = 9_990_000 - sizeOf(deadLetter({ ...message, data: Buffer.alloc(0) }, why));
    const whole = deadLetter({ ...message, data: Buffer.alloc(roomBytes) }, why);
    assert.deepEqual(
      [whole.data.length, 'error-data-bytes' in whole.attributes],
      [roomBytes, false],
    );
    const over = deadLetter({ ...message, data: Buffer.alloc(roomBytes + 1) }, why);
    assert.equal(over.attributes['error-data-bytes'], String(roomBytes + 1));
  });

  it('comes back as it was', () => {
    const letter = deadLetter(message, { code: 'EVENT_INVALID', field: 'data' });
    const forwarded = {
      ...letter,
      attributes: { ...letter.attributes, CloudPubSubDeadLetterSourceDeliveryCount: '5' },
    };
    assert.deepEqual(replayed(forwarded), message);
  });
});
