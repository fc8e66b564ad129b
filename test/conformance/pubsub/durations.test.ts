import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  durationMs,
  durationWithin,
  timestampMs,
  toDuration,
  toTimestamp,
} from '../../stand-ins/pubsub/durations.ts';

describe('durations', () => {
  for (const ms of [0, 1, 999, 1_000, 1_500, 86_400_000]) {
    it(`keeps ${ms} ms on the way to the wire and back`, () => {
      assert.equal(durationMs(toDuration(ms)), ms);
    });
  }

  it('writes seconds and nanoseconds', () => {
    assert.deepEqual(toDuration(1_250), { seconds: 1, nanos: 250_000_000 });
  });

  it('keeps a time to the millisecond', () => {
    const ms = Date.UTC(2026, 10, 22, 16, 34, 28, 771);
    assert.equal(timestampMs(toTimestamp(ms)), ms);
  });

  it('reads seconds that come as text', () => {
    assert.equal(durationMs({ seconds: '60', nanos: 0 }), 60_000);
  });

  it('takes both bounds and refuses what lies outside', () => {
    const within = (seconds: number): number =>
      durationWithin({ seconds, nanos: 0 }, 'a field', 10_000, 20_000);
    assert.equal(within(10), 10_000);
    assert.equal(within(20), 20_000);
    for (const seconds of [9, 21]) {
      assert.throws(() => within(seconds), { name: 'Refusal', status: 'INVALID_ARGUMENT' });
    }
  });
});
