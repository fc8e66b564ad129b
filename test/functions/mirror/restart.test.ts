import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { MirrorError, type ErrorCode, type Side } from '../../../functions/errors.ts';
import { mayRestart, pauseMsOf, RESTART_BACKOFF } from '../../../functions/mirror/restart.ts';

const ROWS: readonly (readonly [ErrorCode, Side, number, boolean])[] = [
  ['SERVER_ERROR', 'destination', 1, true],
  ['SERVER_ERROR', 'destination', 3, true],
  ['SERVER_ERROR', 'destination', 4, false],
  ['NETWORK', 'destination', 1, true],
  ['TIMEOUT', 'destination', 1, true],
  ['RATE_LIMITED', 'destination', 1, true],
  ['RESPONSE_INVALID', 'destination', 1, true],
  ['UNAUTHORIZED', 'destination', 1, true],
  ['UNAUTHORIZED', 'destination', 2, false],
  ['UNAUTHORIZED', 'source', 1, false],
  ['FORBIDDEN', 'destination', 1, false],
  ['REQUEST_REFUSED', 'destination', 1, false],
  ['ABORTED', 'destination', 1, false],
  ['NETWORK', 'source', 1, false],
  ['SOURCE_INCOMPLETE', 'source', 1, false],
  ['DIGEST_MISMATCH', 'source', 1, true],
  ['DIGEST_MISMATCH', 'source', 2, false],
  ['SIZE_MISMATCH', 'destination', 1, true],
];

describe('mayRestart', () => {
  for (const [code, side, attempt, expected] of ROWS) {
    it(`${code} of the ${side} at attempt ${attempt}: ${expected}`, () => {
      assert.equal(mayRestart(new MirrorError(code, '', { side }), attempt), expected);
    });
  }

  it('sends once more what was taken and not answered for a minute', () => {
    const fault = new MirrorError('SERVER_ERROR', '', { side: 'destination' });
    const asked = [59_999, 60_000].map((ms) => [1, 2].map((at) => mayRestart(fault, at, ms)));
    assert.deepEqual(asked, [
      [true, true],
      [true, false],
    ]);
  });

  it('waits by chance up to 0.5 s, 1 s and 2 s', () => {
    assert.deepEqual(RESTART_BACKOFF, { baseMs: 500, maxMs: 2000 });
  });
});

describe('pauseMsOf', () => {
  for (const [what, side, retryAfterMs, pauses, leftMs, expected] of [
    ['the destination', 'destination', 5000, 1, 1e6, undefined],
    ['who asks for none', 'source', undefined, 1, 1e6, undefined],
    ['a source for as long as it asks', 'source', 5000, 1, 5000, 5000],
    ['one for longer than is left', 'source', 5000, 1, 4999, undefined],
    ['one for no time, at first', 'source', 0, 1, 1e6, 1000],
    ['one for no time, the sixth time', 'source', 0, 6, 1e6, 30_000],
    ['one the seventh time', 'source', 0, 7, 1e6, undefined],
    ['one for ten minutes', 'source', 600_000, 1, 1e6, 600_000],
    ['one for more than ten minutes', 'source', 600_001, 1, 1e6, undefined],
  ] as const) {
    it(`waits for ${what}: ${expected ?? 'never'}`, () => {
      const asked = retryAfterMs === undefined ? {} : { retryAfterMs };
      const fault = new MirrorError('RATE_LIMITED', '', { side, ...asked });
      assert.equal(pauseMsOf(fault, pauses, leftMs, 1), expected);
    });
  }
});
