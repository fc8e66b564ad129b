import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { deadLetter, replayed } from '../../../functions/subscriber/dead-letter.ts';

const message = {
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
  });

  it('is cut where it would be too large for Pub/Sub, and says so, once', () => {
    const large = { attributes: message.attributes, data: Buffer.alloc(10_000_000 - 100) };
    const letter = deadLetter(large, { code: 'EVENT_TOO_LARGE', field: 'data' });
    const sizeBytes = letter.data.length + Object.entries(letter.attributes).flat().join('').length;
    assert.ok(sizeBytes <= 10_000_000 && sizeBytes > 9_900_000, String(sizeBytes));
    assert.deepEqual(letter.attributes, {
      ...message.attributes,
      'error-code': 'EVENT_TOO_LARGE',
      'error-field': 'data',
      'error-data-bytes': '9999900',
    });
    const again = deadLetter(replayed(letter), { code: 'EVENT_INVALID', field: 'x'.repeat(100) });
    assert.equal(again.attributes['error-data-bytes'], '9999900');
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
