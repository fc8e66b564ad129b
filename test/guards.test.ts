import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { guardsOf, withoutGuards } from './guards.ts';

const MARK = '// guard:';

/** A source text without its guards. */
function off(text: string): string {
  return withoutGuards(text, guardsOf('a.ts', text));
}

describe('a guard', () => {
  it('is an if whose condition becomes false', () => {
    assert.equal(
      off(`${MARK} one\nif (a(b) > (c)) throw new Error('x');\nreturn 1;`),
      `${MARK} one\nif (false && (a(b) > (c))) throw new Error('x');\nreturn 1;`,
    );
  });

  it('is a line whose code is replaced', () => {
    assert.equal(
      off(`key([\n  realm, ${MARK} two, without: '',\n  scope,\n])`),
      `key([\n'', ${MARK} two, without: '',\n  scope,\n])`,
    );
  });

  it('is known by its name, and is one of several in a file', () => {
    const text = `${MARK} one\nif (a) b();\nconst c = d; ${MARK} two, without: const c = 0;\n${MARK} one\nif (e) f();`;
    assert.deepEqual(
      guardsOf('a.ts', text).map(({ name }) => name),
      ['one', 'two', 'one'],
    );
    assert.match(off(text), /false && \(a\)[^]*const c = 0; \/\/[^]*false && \(e\)/);
  });

  it('is not what prose says of guards', () => {
    assert.deepEqual(
      guardsOf('a.ts', ` * marked \`${MARK} name\` above\n// Guards stand here.`),
      [],
    );
  });

  for (const [what, text] of [
    ['without a name', `${MARK}\nif (a) b();`],
    ['with a name that is none', `${MARK} One\nif (a) b();`],
    ['with something behind its name', `${MARK} one two\nif (a) b();`],
    ['that is spelt otherwise', '// Guard one\nif (a) b();'],
    ['with nothing in the place of the code', `a(); ${MARK} one, without:`],
    ['that replaces no code', `${MARK} one, without: b();\na();`],
    ['without an if', `${MARK} one\na();`],
    ['far from its if', `${MARK} one\n\n\n\nif (a) b();`],
    ['behind code that is no if', `a(); ${MARK} one\nif (b) c();`],
    ['of an if that does not end', `${MARK} one\nif (a(`],
  ] as const) {
    it(`is refused with a marker ${what}`, () => {
      assert.throws(() => guardsOf('a.ts', text));
    });
  }
});
