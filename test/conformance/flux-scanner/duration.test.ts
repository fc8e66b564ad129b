import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { durationMs } from '../../stand-ins/flux-scanner/duration.ts';

describe('a Go duration', () => {
  for (const [text, expected] of [
    ['10s', 10_000],
    ['5m0s', 300_000],
    ['1h30m', 5_400_000],
    ['1.5s', 1500],
    ['250ms', 250],
    ['1m250ms', 60_250],
  ] as const) {
    it(`${text} is ${expected} ms`, () => {
      assert.equal(durationMs(text), expected);
    });
  }
});
