import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  decideStart,
  NO_DEADLINE,
  type StartDecision,
  type StartFacts,
} from '../../../functions/mirror/deadline.ts';

const MIB = 1024 * 1024;

/** 480 s of 540 left, nothing under way, no rate seen. */
const BEGINNING: StartFacts = {
  sizeBytes: 100 * MIB,
  inFlightBytes: [],
  bytesPerSecond: undefined,
  untilLastStartMs: 420_000,
  untilEndMs: 480_000,
  wholeMs: 540_000,
};

const ROWS: readonly (readonly [string, Partial<StartFacts>, StartDecision])[] = [
  ['starts alone before any rate was seen', { sizeBytes: 100_000 * MIB }, 'start'],
  ['starts beside others that fit at 1 MiB/s', { inFlightBytes: [380 * MIB] }, 'start'],
  ['waits beside others that do not fit at 1 MiB/s', { inFlightBytes: [381 * MIB] }, 'wait'],
  [
    'starts beside others that fit at the rate seen',
    { inFlightBytes: [860 * MIB], bytesPerSecond: 2 * MIB },
    'start',
  ],
  [
    'waits for those that would make it late',
    { inFlightBytes: [861 * MIB], bytesPerSecond: 2 * MIB },
    'wait',
  ],
  [
    'starts beside giants that are late whatever it does',
    {
      sizeBytes: 10 * MIB,
      inFlightBytes: Array.from({ length: 8 }, () => 2048 * MIB),
      bytesPerSecond: 20 * MIB,
    },
    'start',
  ],
  [
    'waits where equal ones would all be late',
    { inFlightBytes: [100 * MIB, 100 * MIB, 100 * MIB], bytesPerSecond: 0.7 * MIB },
    'wait',
  ],
  ['is too late where it would not arrive even alone', { bytesPerSecond: MIB / 5 }, 'too-late'],
  ['is too large for any delivery', { bytesPerSecond: MIB / 6 }, 'too-large'],
  [
    'does not judge a blob too large while others share the rate',
    { bytesPerSecond: MIB / 6, inFlightBytes: [MIB] },
    'wait',
  ],
  ['is too late in the last ninth', { untilLastStartMs: 0 }, 'too-late'],
  [
    'is too late in the last ninth, however small',
    { untilLastStartMs: 0, sizeBytes: 1 },
    'too-late',
  ],
  [
    'starts a small blob freely',
    { sizeBytes: 4 * MIB - 1, bytesPerSecond: 1, inFlightBytes: [1] },
    'start',
  ],
];

describe('decideStart', () => {
  for (const [name, facts, decision] of ROWS) {
    it(name, () => {
      assert.equal(decideStart({ ...BEGINNING, ...facts }), decision);
    });
  }

  it('starts everything without a deadline', () => {
    const facts: StartFacts = {
      ...BEGINNING,
      bytesPerSecond: 1,
      inFlightBytes: [1000 * MIB],
      untilLastStartMs: NO_DEADLINE.untilLastStartMs(),
      untilEndMs: NO_DEADLINE.untilEndMs(),
      wholeMs: NO_DEADLINE.wholeMs,
    };
    assert.equal(decideStart(facts), 'start');
  });
});
