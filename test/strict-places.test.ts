import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { AdaptiveLimiter } from '../functions/registry/limiter.ts';
import { UploadScheduler } from '../functions/mirror/upload-scheduler.ts';
import { fakeTiming, NEVER } from './functions/registry/setting.ts';
import { strictPlaces } from './strict-places.ts';

describe('the rule of places', () => {
  it('is broken by who waits for a place while it holds one of its kind, and by nobody else', async () => {
    const observer = strictPlaces();
    const starts = new AdaptiveLimiter({ timing: fakeTiming(), observer });
    const bodies = new UploadScheduler(undefined, observer);
    const stream = { event: {}, sourceHost: 'ghcr.io', sizeBytes: 1 };
    await observer.transfer(async () => {
      const end = await bodies.acquire(stream, NEVER);
      const first = await starts.acquire(undefined, NEVER);
      first.free();
      const second = await starts.acquire(undefined, NEVER);
      assert.deepEqual(observer.violations, []);
      assert.equal(observer.held, 2);
      const third = await starts.acquire(undefined, NEVER);
      for (const permit of [second, third]) permit.free();
      end();
    });
    assert.deepEqual(observer.violations, ['a transfer waits for a start and holds 1']);
    assert.equal(observer.held, 0);
  });

  it('says nothing of two transfers', async () => {
    const observer = strictPlaces();
    const starts = new AdaptiveLimiter({ timing: fakeTiming(), observer });
    await Promise.all(
      [1, 2].map(async () =>
        observer.transfer(async () => {
          (await starts.acquire(undefined, NEVER)).free();
        }),
      ),
    );
    assert.deepEqual(observer.violations, []);
  });
});
