import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';

import { Repeats } from '../../bridge/repeats.ts';

const HOUR_MS = 3_600_000;
const INTERVAL_MS = 12 * HOUR_MS;

function resyncing(uid: string, resyncIntervalMs = INTERVAL_MS): Repeats {
  return new Repeats(uid, { resyncIntervalMs, followUpMs: 0 });
}

/** Where an object's moment lies: the first 48 bits of its uid's digest, modulo the interval. */
function momentOf(uid: string): number {
  const hex = createHash('sha256').update(uid).digest('hex').slice(0, 12);
  return Number.parseInt(hex, 16) % INTERVAL_MS;
}

describe('Repeats, resync', () => {
  it('is due at the moment of the uid in every interval, and counts them', () => {
    const uid = '7d0cdc51-ddcf-4743-b223-83ca5c699632';
    for (const count of [1, 2, 3]) {
      const atMs = count * INTERVAL_MS + momentOf(uid);
      assert.equal(resyncing(uid).resyncBetween(atMs - 1000, atMs - 1), undefined);
      assert.equal(resyncing(uid).resyncBetween(atMs - 1, atMs), count);
      assert.equal(resyncing(uid).resyncBetween(atMs, atMs + INTERVAL_MS - 1), undefined);
    }
  });

  it('spreads objects over the interval', () => {
    const perHour = Array.from({ length: 12 }, () => 0);
    for (let index = 0; index < 500; index += 1) {
      const repeats = resyncing(`uid-${index}`);
      const hours = perHour.map((_count, hour) =>
        repeats.resyncBetween(
          INTERVAL_MS + hour * HOUR_MS - 1,
          INTERVAL_MS + (hour + 1) * HOUR_MS - 1,
        ),
      );
      const due = hours.flatMap((slot, hour) => (slot === undefined ? [] : [hour]));
      assert.equal(due.length, 1);
      perHour[due[0] ?? 0] = (perHour[due[0] ?? 0] ?? 0) + 1;
    }
    assert.ok(
      perHour.every((count) => count > 0),
      perHour.join(),
    );
  });
});

describe('Repeats, follow-up', () => {
  it('is due for a change of before by its age, and for none that is too old', () => {
    const repeats = new Repeats('uid', { resyncIntervalMs: 0, followUpMs: 1000 });
    repeats.changed(1000, 5000);
    assert.equal(repeats.takeFollowUp(9999), false);
    repeats.changed(999, 5000);
    assert.equal(repeats.takeFollowUp(5000), false);
    assert.equal(repeats.takeFollowUp(5001), true);
  });
});
