import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { compileFilter } from '../../stand-ins/pubsub/filter.ts';

const attributes = { 'ce-type': 'changed', lane: 'bulk', empty: '', 'a.b/c': 'path' };

describe('filter', () => {
  const cases = [
    ['', true],
    ['attributes:lane', true],
    ['attributes:missing', false],
    ['attributes:empty', true],
    ['attributes:toString', false],
    ['attributes:"a.b/c"', true],
    ['attributes.lane = "bulk"', true],
    ['attributes.lane="bulk"', true],
    ['attributes.lane = "Bulk"', false],
    ['attributes.ce-type = "changed"', true],
    ['attributes."a.b/c" = "path"', true],
    ['attributes.missing = ""', false],
    ['attributes.lane != "events"', true],
    ['attributes.lane != "bulk"', false],
    ['attributes.missing != "bulk"', true],
    ['hasPrefix(attributes.lane, "bu")', true],
    ['hasPrefix(attributes.lane, "")', true],
    ['hasPrefix(attributes.lane, "lk")', false],
    ['hasPrefix(attributes.missing, "")', false],
    ['NOT attributes:lane', false],
    ['-attributes:lane', false],
    ['NOT attributes:missing', true],
    ['attributes:lane AND attributes:missing', false],
    ['attributes:lane OR attributes:missing', true],
    ['attributes:lane AND attributes.lane = "bulk" AND attributes:empty', true],
    ['attributes:lane AND NOT attributes:missing', true],
    ['attributes:missing OR (attributes:lane AND attributes:empty)', true],
    ['(attributes:missing OR attributes:lane) AND attributes:empty', true],
    ['NOT (attributes:lane AND attributes:missing)', true],
    ['  ( attributes:lane )  ', true],
  ] as const;
  for (const [text, kept] of cases) {
    it(`${kept ? 'keeps' : 'drops'} the message by ${text === '' ? 'no filter' : text}`, () => {
      assert.equal(compileFilter(text)(attributes), kept);
    });
  }

  it('reads escapes in texts', () => {
    const filter = compileFilter(String.raw`attributes.x = "a\"b\\c\u0041\x42\103\n"`);
    assert.equal(filter({ x: 'a"b\\cABC\n' }), true);
  });

  it('takes the longest filter', () => {
    assert.equal(compileFilter(`attributes:${'a'.repeat(245)}`)({ ['a'.repeat(245)]: '' }), true);
  });

  const refused = [
    ['one byte more than the longest', `attributes:${'a'.repeat(246)}`],
    ['AND and OR mixed without parentheses', 'attributes:a AND attributes:b OR attributes:c'],
    ['an operator in lower case', 'attributes:a and attributes:b'],
    ['a value without quotes', 'attributes.a = b'],
    ['an open quote', 'attributes.a = "b'],
    ['an open parenthesis', '(attributes:a'],
    ['a closing parenthesis too many', 'attributes:a)'],
    ['the data of a message', 'data = "x"'],
    ['nothing after an operator', 'attributes:a AND'],
    ['an unknown function', 'hasSuffix(attributes.a, "b")'],
    ['hasPrefix of a key', 'hasPrefix(attributes:a, "b")'],
    ['another comparison', 'attributes.a > "b"'],
    ['blanks alone', '   '],
    ['two expressions', 'attributes:a attributes:b'],
  ] as const;
  for (const [what, text] of refused) {
    it(`refuses ${what}`, () => {
      assert.throws(() => compileFilter(text), { name: 'Refusal', status: 'INVALID_ARGUMENT' });
    });
  }
});
