import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { mutantsOf, mutated } from './mutants.ts';

function changes(text: string): readonly string[] {
  return mutantsOf('x.ts', text).map((mutant) => `${mutant.kind}: ${mutated(text, mutant)}`);
}

describe('mutantsOf', () => {
  it('moves boundaries and turns comparisons', () => {
    assert.deepEqual(changes('a < b;'), ['boundary: a <= b;', 'comparison: a > b;']);
    assert.deepEqual(changes('a === b;'), ['comparison: a !== b;']);
  });

  it('takes early returns away, and lets conditions always hold', () => {
    assert.deepEqual(changes('if (a) return;'), [
      'early-return: if (false && (a)) return;',
      'always: if (true || (a)) return;',
    ]);
    assert.deepEqual(changes('if (a) { b = c; }')[0], 'never: if (false && (a)) { b = c; }');
  });

  it('takes calls and defaults away, and changes values', () => {
    assert.deepEqual(changes('await f();'), ['call: ;']);
    assert.deepEqual(changes('a = b ?? c;'), ['default: a = (b)!;']);
    assert.deepEqual(changes('a = 1;'), ['number: a = (1 + 1);']);
    assert.deepEqual(changes('a = true;'), ['boolean: a = false;']);
    assert.deepEqual(changes('a = b && c * d;'), [
      'logic: a = b || c * d;',
      'arithmetic: a = b && c / d;',
    ]);
  });

  it('leaves types, texts and calls of a base class alone', () => {
    assert.deepEqual(changes('interface A { b: 1 | true }'), []);
    assert.deepEqual(changes("a = 'b' + c;"), []);
    assert.deepEqual(changes('class A extends B { constructor() { super(); } }'), []);
  });

  it('tells the line', () => {
    assert.equal(mutantsOf('x.ts', '\n\na < b;')[0]?.line, 3);
  });
});
