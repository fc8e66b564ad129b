import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { MirrorError, type ErrorCode, type Side } from '../../../functions/errors.ts';
import { mayRestart } from '../../../functions/mirror/restart.ts';

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
});
