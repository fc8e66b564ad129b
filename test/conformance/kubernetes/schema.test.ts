import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  conform,
  unknownFields,
  violations,
  type Schema,
} from '../../stand-ins/kubernetes/schema.ts';

const schema: Schema = {
  type: 'object',
  required: ['name'],
  properties: {
    name: { type: 'string', minLength: 1, maxLength: 3, pattern: '^[a-z]+$' },
    kind: { type: 'string', enum: ['one', 'two'], default: 'one' },
    count: { type: 'integer', minimum: 0 },
    on: { type: 'boolean' },
    at: { type: 'string', format: 'date-time' },
    list: { type: 'array', maxItems: 2, items: { type: 'string' } },
    labels: { type: 'object', additionalProperties: { type: 'string' } },
    inner: { type: 'object', properties: { deep: { type: 'string', default: 'x' } } },
  },
};

describe('a structural schema', () => {
  it('prunes, fills defaults and drops null', () => {
    assert.deepEqual(
      conform({ name: 'a', other: 1, on: null, labels: { any: 'x' }, inner: { wrong: 1 } }, schema),
      { name: 'a', kind: 'one', labels: { any: 'x' }, inner: { deep: 'x' } },
    );
    assert.deepEqual(conform({ inner: undefined }, schema), { inner: undefined, kind: 'one' });
  });

  for (const [value, expected] of [
    [{ name: 'abc', count: 0, on: true, at: '2026-01-01T00:00:00.5+02:00', list: ['a'] }, []],
    [{}, ['name FieldValueRequired']],
    [{ name: 1 }, ['name FieldValueTypeInvalid']],
    [{ name: '' }, ['name FieldValueInvalid']],
    [{ name: 'A' }, ['name FieldValueInvalid']],
    [{ name: 'abcd' }, ['name FieldValueTooLong']],
    [{ name: 'a', kind: 'three' }, ['kind FieldValueNotSupported']],
    [{ name: 'a', count: -1 }, ['count FieldValueInvalid']],
    [{ name: 'a', count: 1.5 }, ['count FieldValueTypeInvalid']],
    [{ name: 'a', on: 'yes' }, ['on FieldValueTypeInvalid']],
    [{ name: 'a', at: '2026-01-01' }, ['at FieldValueTypeInvalid']],
    [{ name: 'a', at: '2026-13-01T00:00:00Z' }, ['at FieldValueTypeInvalid']],
    [{ name: 'a', list: ['a', 'b', 'c'] }, ['list FieldValueTooMany']],
    [{ name: 'a', list: ['a', 1] }, ['list[1] FieldValueTypeInvalid']],
    [{ name: 'a', labels: { x: 1 } }, ['labels.x FieldValueTypeInvalid']],
    [{ name: 'a', inner: [] }, ['inner FieldValueTypeInvalid']],
  ] as const) {
    it(`finds ${expected.join() || 'nothing'} in ${JSON.stringify(value)}`, () => {
      assert.deepEqual(
        violations(value, schema, '').map(({ field, reason }) => `${field ?? ''} ${reason}`),
        expected,
      );
    });
  }

  it('names what it does not know', () => {
    const value = { name: 'a', other: 1, inner: { deep: 'x', wrong: 1 }, labels: { any: 'x' } };
    assert.deepEqual(unknownFields(value, schema), ['other', 'inner.wrong']);
  });
});
