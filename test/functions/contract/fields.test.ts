import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { defined, optional, timeAt, wrong } from '../../../functions/contract/fields.ts';
import { MirrorError } from '../../../functions/errors.ts';

describe('timeAt', () => {
  for (const time of ['2026-08-10T09:05:02Z', '2026-08-10T09:05:02.123456789+02:00']) {
    it(`takes ${time}`, () => {
      assert.equal(timeAt({ time }, 'time', ''), time);
    });
  }

  for (const time of ['2026-08-10', '2026-13-10T09:05:02Z', '2026-08-10 09:05:02Z', 5]) {
    it(`refuses ${time}`, () => {
      assert.throws(() => timeAt({ time }, 'time', 'data'), MirrorError);
    });
  }
});

describe('optional', () => {
  it('takes null for absent and does not read it', () => {
    let reads = 0;
    const read = (): number => ++reads;
    assert.equal(optional({ a: null }, 'a', read), undefined);
    assert.equal(optional({ a: 0 }, 'a', read), 1);
  });
});

describe('defined', () => {
  it('leaves out what is undefined, and nothing else', () => {
    const fields: { readonly a: number; readonly b?: string; readonly d?: null } = defined({
      a: 0,
      b: undefined as string | undefined,
      d: null,
    });
    assert.deepEqual(Object.entries(fields), [
      ['a', 0],
      ['d', null],
    ]);
  });
});

describe('wrong', () => {
  for (const [value, shown] of [
    [undefined, 'absent'],
    [null, 'null'],
    [[1, 2], 'an array of 2'],
    ['x'.repeat(81), `'${'x'.repeat(80)}'`],
    [{}, 'an object'],
    [5, 'a number'],
  ] as const) {
    it(`shows ${shown}`, () => {
      assert.equal(wrong('data.a', 'a text', value).message, `data.a wants a text, not ${shown}`);
    });
  }

  it('shows a text cut and cleaned, and no object', () => {
    const shown = wrong('data.image', 'a name', `\u001b${'x'.repeat(600)}`);
    assert.ok(shown.message.length < 160);
    assert.ok(!shown.message.includes('\u001b'));
    assert.ok(!wrong('data', 'a text', { secret: 'hush' }).message.includes('hush'));
  });
});
