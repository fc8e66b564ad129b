import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { PushWindow, pushPauseMs } from '../../stand-ins/pubsub/push-window.ts';

/** The size after many requests of which every `period`-th fails. */
function sizeWithFailures(period: number): number {
  const window = new PushWindow();
  for (let request = 1; request <= 20_000; request += 1) {
    if (request % period === 0) window.failed();
    else window.succeeded();
  }
  return window.size;
}

describe('push window', () => {
  it('starts small and doubles with each round of successes', () => {
    const window = new PushWindow();
    assert.equal(window.size, 5);
    for (const doubled of [10, 20, 40, 80]) {
      const round = window.size;
      for (let request = 0; request < round; request += 1) window.succeeded();
      assert.equal(window.size, doubled);
    }
  });

  it('grows no further than its largest size', () => {
    const window = new PushWindow();
    for (let request = 0; request < 5_000; request += 1) window.succeeded();
    assert.equal(window.size, PushWindow.LARGEST);
  });

  it('never closes, whatever fails', () => {
    const window = new PushWindow();
    for (let request = 0; request < 1_000; request += 1) window.failed();
    assert.equal(window.size, 1);
  });

  it('follows the share of successes', () => {
    const sizes = [2, 4, 10, 100].map(sizeWithFailures);
    assert.deepEqual(
      sizes,
      [...sizes].sort((a, b) => a - b),
    );
    assert.ok((sizes[0] ?? 0) < 15 && (sizes[3] ?? 0) > 500, String(sizes));
  });
});

describe('push pause', () => {
  const cases = [
    [0, 0],
    [1, 100],
    [2, 200],
    [10, 51_200],
    [11, 60_000],
    [1_000, 60_000],
  ] as const;
  for (const [failures, pauseMs] of cases) {
    it(`is ${pauseMs} ms after ${failures} failures in a row`, () => {
      assert.equal(pushPauseMs(failures), pauseMs);
    });
  }
});
