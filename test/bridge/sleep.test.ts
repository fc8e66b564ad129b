import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { sleep } from '../../bridge/sleep.ts';

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
