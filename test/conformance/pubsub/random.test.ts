import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { seededRandom } from '../../stand-ins/pubsub/random.ts';

function firstOf(seed: number, count: number): readonly number[] {
  const random = seededRandom(seed);
  return Array.from({ length: count }, () => random());
}

describe('seeded random', () => {
  it('gives the same numbers for the same seed, others for another', () => {
    assert.deepEqual(firstOf(7, 20), firstOf(7, 20));
    assert.notDeepEqual(firstOf(7, 20), firstOf(8, 20));
  });

  it('spreads its numbers evenly from 0 to 1', () => {
    const numbers = firstOf(1, 10_000);
    assert.ok(numbers.every((number) => number >= 0 && number < 1));
    const tenths = Array.from(
      { length: 10 },
      (_unused, tenth) => numbers.filter((number) => Math.floor(number * 10) === tenth).length,
    );
    assert.ok(
      tenths.every((count) => count > 900 && count < 1_100),
      String(tenths),
    );
  });
});
