import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { MAX_FILTER_BYTES, parseFilter } from '../../stand-ins/pubsub/filter-syntax.ts';

describe('filter syntax', () => {
  it('joins by AND and OR and negates', () => {
    assert.deepEqual(parseFilter('attributes:a AND NOT (attributes.b = "c" OR attributes:d)'), {
      kind: 'and',
      operands: [
        { kind: 'has', key: 'a' },
        {
          kind: 'not',
          operand: {
            kind: 'or',
            operands: [
              { kind: 'equals', key: 'b', value: 'c' },
              { kind: 'has', key: 'd' },
            ],
          },
        },
      ],
    });
  });

  it('takes the longest filter', () => {
    const text = `attributes:${'a'.repeat(MAX_FILTER_BYTES - 'attributes:'.length)}`;
    assert.equal(parseFilter(text).kind, 'has');
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
      assert.throws(() => parseFilter(text), { name: 'Refusal', status: 'INVALID_ARGUMENT' });
    });
  }
});
