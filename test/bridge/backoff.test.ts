import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { backoff, sleep } from '../../bridge/backoff.ts';

describe('backoff', () => {
  it('doubles up to the longest wait', () => {
    const wait = backoff({ minMs: 100, maxMs: 500, random: () => 0 });
    assert.deepEqual(
      [wait.next(), wait.next(), wait.next(), wait.next(), wait.next()],
      [100, 200, 400, 500, 500],
    );
  });

  it('begins anew after a success', () => {
    const wait = backoff({ minMs: 100, maxMs: 500, random: () => 0 });
    wait.next();
    wait.next();
    wait.reset();
    assert.equal(wait.next(), 100);
  });

  it('takes off up to a half at random', () => {
    assert.equal(backoff({ minMs: 100, random: () => 0.999 }).next() >= 50, true);
    assert.equal(backoff({ minMs: 100, random: () => 0.5 }).next(), 75);
  });

  it('stays finite after many tries', () => {
    const wait = backoff({ random: () => 0 });
    assert.equal(wait.next(), 800);
    for (let tries = 0; tries < 2000; tries += 1) wait.next();
    assert.equal(wait.next(), 30_000);
  });
});

describe('sleep', () => {
  it('waits', async () => {
    const startMs = performance.now();
    await sleep(20, new AbortController().signal);
    assert.ok(performance.now() - startMs >= 15);
  });

  it('ends at once when it is aborted, before or meanwhile', async () => {
    await sleep(3_600_000, AbortSignal.abort());
    const controller = new AbortController();
    const sleeping = sleep(3_600_000, controller.signal);
    controller.abort();
    await sleeping;
  });
});
