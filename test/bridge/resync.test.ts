import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { resyncOffsetMs, resyncSlot } from '../../bridge/resync.ts';

const INTERVAL_MS = 12 * 3_600_000;

describe('resyncOffsetMs', () => {
  it('is the same for a uid, whoever asks', () => {
    const uid = '7d0cdc51-ddcf-4743-b223-83ca5c699632';
    assert.equal(resyncOffsetMs(uid, INTERVAL_MS), resyncOffsetMs(uid, INTERVAL_MS));
  });

  it('spreads objects over the interval', () => {
    const hours = new Set<number>();
    for (let index = 0; index < 500; index += 1) {
      const offsetMs = resyncOffsetMs(`uid-${index}`, INTERVAL_MS);
      assert.ok(offsetMs >= 0 && offsetMs < INTERVAL_MS);
      hours.add(Math.floor(offsetMs / 3_600_000));
    }
    assert.equal(hours.size, 12);
  });

  it('is 0 without an interval', () => {
    assert.equal(resyncOffsetMs('uid', 0), 0);
  });
});

describe('resyncSlot', () => {
  it('grows by one at the moment of every interval', () => {
    const offsetMs = 5000;
    const moments = [1, 2, 3].map((count) => count * INTERVAL_MS + offsetMs);
    for (const momentMs of moments) {
      const before = resyncSlot(momentMs - 1, offsetMs, INTERVAL_MS);
      assert.equal(resyncSlot(momentMs, offsetMs, INTERVAL_MS), before + 1);
      assert.equal(resyncSlot(momentMs + INTERVAL_MS - 1, offsetMs, INTERVAL_MS), before + 1);
    }
  });
});
