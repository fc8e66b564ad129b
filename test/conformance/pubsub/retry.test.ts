import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { retryDelayMs } from '../../stand-ins/pubsub/retry.ts';

describe('retry delay', () => {
  const policy = { minimumBackoffMs: 10_000, maximumBackoffMs: 600_000 };
  const cases = [
    [1, 10_000],
    [2, 20_000],
    [3, 40_000],
    [6, 320_000],
    [7, 600_000],
    [100, 600_000],
    [10_000, 600_000],
  ] as const;
  for (const [failures, delayMs] of cases) {
    it(`is ${delayMs} ms after failure ${failures} of 10 s to 600 s`, () => {
      assert.equal(retryDelayMs(policy, failures), delayMs);
    });
  }

  it('is nothing without a policy', () => {
    assert.equal(retryDelayMs(undefined, 5), 0);
  });

  it('is nothing where the policy says so', () => {
    assert.equal(retryDelayMs({ minimumBackoffMs: 0, maximumBackoffMs: 600_000 }, 50), 0);
    assert.equal(retryDelayMs({ minimumBackoffMs: 0, maximumBackoffMs: 0 }, 1), 0);
  });
});
