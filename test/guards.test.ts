import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { guardsOf, outcomesOf, refusingAll, withoutGuards, withoutOperands } from './guards.ts';

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

  for (const [what, fault, text] of [
    ['without a name', /malformed/, `${MARK}\nif (a) b();`],
    ['with a name that is none', /malformed/, `${MARK} One\nif (a) b();`],
    ['with something behind its name', /malformed/, `${MARK} one two\nif (a) b();`],
    ['that is spelt otherwise', /malformed/, '// Guard one\nif (a) b();'],
    ['with nothing in the place of the code', /malformed/, `a(); ${MARK} one, without:`],
    ['that replaces no code', /replaces no code/, `${MARK} one, without: b();\na();`],
    ['without an if', /stands at no if/, `${MARK} one\na();`],
    ['far from its if', /stands at no if/, `${MARK} one\n\n\n\nif (a) b();`],
    ['behind code that is no if', /stands at no if/, `a(); ${MARK} one\nif (b) c();`],
    ['of an if that does not end', /not closed/, `${MARK} one\nif (a(`],
  ] as const) {
    it(`is refused with a marker ${what}`, () => {
      assert.throws(() => guardsOf('a.ts', text), fault);
    });
  }
});

describe('a condition of several parts', () => {
  const parts = (condition: string): readonly string[] => {
    const text = `${MARK} one\nif (${condition}) throw x;`;
    const [guard] = guardsOf('a.ts', text);
    assert.ok(guard !== undefined);
    return withoutOperands(text, guard).map(
      (change) => withoutGuards(text, [change]).split('if ')[1] ?? '',
    );
  };

  it('is left alone but for one of them', () => {
    assert.deepEqual(parts('a || b(c) || d'), [
      '((false && (a)) || b(c) || d) throw x;',
      '(a || (false && (b(c))) || d) throw x;',
      '(a || b(c) || (false && (d))) throw x;',
    ]);
    assert.deepEqual(parts('a && (b || c)'), [
      '((true || (a)) && (b || c)) throw x;',
      '(a && (true || ((b || c)))) throw x;',
    ]);
    assert.deepEqual(parts('a'), []);
  });

  it('can refuse everything, where it is an if', () => {
    const text = `${MARK} one\nif (a) throw x;\nb(); ${MARK} two, without: c();`;
    const changes = guardsOf('a.ts', text).map((guard) => refusingAll(text, guard)?.replacement);
    assert.deepEqual(changes, ['(true || (a))', undefined]);
  });
});

describe('a failed test of a guard', () => {
  it('is told apart by how it failed', () => {
    const tap = [
      'not ok 1 - guard one: refuses',
      "  code: 'ERR_ASSERTION'",
      'not ok 2 - guard two: refuses',
      "  name: 'TypeError'",
      'not ok 3 - guard three: ends',
      "  failureType: 'testTimeoutFailure'",
      'ok 4 - guard four: refuses',
      'ok 5 - guard five: refuses # SKIP',
      'ok 6 - another',
    ].join('\n');
    assert.deepEqual(outcomesOf(tap), [
      { name: 'one', failed: true, crashed: false },
      { name: 'two', failed: true, crashed: true },
      { name: 'three', failed: true, crashed: false },
      { name: 'four', failed: false, crashed: false },
    ]);
  });
});
