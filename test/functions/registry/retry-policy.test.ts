import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { MirrorError, type ErrorCode } from '../../../functions/errors.ts';
import { backoffMs } from '../../../functions/concurrency.ts';
import { MAX_PAUSE_MS } from '../../../functions/registry/retry-after.ts';
import {
  isPassingStatus,
  NO_RETRY,
  RETRY_POLICY,
  retryDelayMs,
  throttlePauseMs,
} from '../../../functions/registry/retry-policy.ts';

function delay(code: ErrorCode, attempt: number, random = 1): number | undefined {
  return retryDelayMs(RETRY_POLICY, attempt, new MirrorError(code, ''), random);
}

describe('retry policy', () => {
  it('tries what failed four times, each wait within twice the range before', () => {
    for (const code of ['NETWORK', 'TIMEOUT', 'SERVER_ERROR'] as const) {
      assert.deepEqual(
        [1, 2, 3, 4].map((attempt) => delay(code, attempt)),
        [500, 1000, 2000, undefined],
      );
      assert.equal(delay(code, 1, 0), 0);
    }
  });

  it('tries what was throttled six times, and leaves the wait to the gate', () => {
    assert.deepEqual(
      [1, 5, 6].map((attempt) => delay('RATE_LIMITED', attempt)),
      [0, 0, undefined],
    );
  });

  it('waits at least as long as a failing registry asks', () => {
    const fault = new MirrorError('SERVER_ERROR', '', { retryAfterMs: 7000 });
    assert.equal(retryDelayMs(RETRY_POLICY, 1, fault, 1), 7000);
  });

  it('waits no longer than ten minutes, and asks no more where longer is asked for', () => {
    for (const code of ['SERVER_ERROR', 'RATE_LIMITED'] as const) {
      const long = new MirrorError(code, '', { retryAfterMs: MAX_PAUSE_MS + 1 });
      assert.equal(retryDelayMs(RETRY_POLICY, 1, long, 1), undefined);
      const most = new MirrorError(code, '', { retryAfterMs: MAX_PAUSE_MS });
      assert.notEqual(retryDelayMs(RETRY_POLICY, 1, most, 1), undefined);
    }
  });

  const final: readonly ErrorCode[] = [
    'UNAUTHORIZED',
    'FORBIDDEN',
    'NOT_FOUND',
    'ABORTED',
    'DIGEST_MISMATCH',
    'ADDRESS_REFUSED',
    'RESPONSE_TOO_LARGE',
  ];
  for (const code of final) {
    it(`does not repeat ${code}`, () => {
      assert.equal(delay(code, 1), undefined);
    });
  }

  it('repeats nothing whose body cannot be sent twice', () => {
    for (const code of ['NETWORK', 'RATE_LIMITED', 'SERVER_ERROR'] as const) {
      assert.equal(retryDelayMs(NO_RETRY, 1, new MirrorError(code, ''), 1), undefined);
    }
  });

  it('bounds the back-off', () => {
    assert.equal(backoffMs(RETRY_POLICY, 30, 1), RETRY_POLICY.maxMs);
  });

  it('pauses as asked, until the next minute at a quota of minutes, else by doubling', () => {
    const quota =
      "Quota exceeded for quota metric 'Requests per project per user' and limit 'Requests per project per user per minute per user' of service";
    const at = 5 * 60_000 + 20_000;
    assert.equal(throttlePauseMs({ retryAfterMs: 3000, message: quota }, 1, at, 0), 3000);
    assert.equal(throttlePauseMs({ retryAfterMs: undefined, message: quota }, 1, at, 0), 40_000);
    assert.equal(throttlePauseMs({ retryAfterMs: undefined, message: quota }, 1, at, 1), 42_000);
    const plain = { retryAfterMs: undefined, message: 'slow down' };
    assert.deepEqual(
      [1, 2, 3, 9].map((n) => throttlePauseMs(plain, n, at, 1)),
      [1000, 2000, 4000, 30_000],
    );
    assert.equal(throttlePauseMs(plain, 1, at, 0), 500);
  });

  it('never pauses for less than its own back-off', () => {
    const zero = { retryAfterMs: 0, message: '' };
    assert.deepEqual(
      [1, 2, 3, 9].map((n) => throttlePauseMs(zero, n, 0, 1)),
      [1000, 2000, 4000, 30_000],
    );
    const quick = { ...RETRY_POLICY, baseMs: 2 };
    assert.equal(throttlePauseMs(zero, 1, 0, 0, quick), 2);
  });

  it('knows the statuses that may pass', () => {
    for (const status of [408, 429, 499, 500, 502, 503, 504, 522])
      assert.ok(isPassingStatus(status));
    for (const status of [200, 301, 400, 401, 403, 404, 409, 501])
      assert.ok(!isPassingStatus(status));
  });
});
