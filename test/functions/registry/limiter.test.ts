import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { TokenBucket, type Timing } from '../../../functions/concurrency.ts';
import {
  AdaptiveLimiter,
  ARTIFACT_REGISTRY_RATE,
  type Load,
  type Permit,
} from '../../../functions/registry/limiter.ts';
import { rejection } from '../../faults.ts';
import { fakeTiming, NEVER, settle } from './setting.ts';

/** Of whoever may wait for ever. */
const { signal: PATIENT } = new AbortController();

/** Asks for many places; those granted so far are in the answer. */
function ask(limiter: AdaptiveLimiter, count: number): Permit[] {
  const granted: Permit[] = [];
  for (let asked = 0; asked < count; asked++) {
    void limiter.acquire(undefined, PATIENT).then((permit) => granted.push(permit));
  }
  return granted;
}

/** As {@link ask}, once all have been granted that are granted at once. */
async function asked(limiter: AdaptiveLimiter, count: number): Promise<Permit[]> {
  const granted = ask(limiter, count);
  await settle();
  return granted;
}

function end(permit: Permit | undefined, load: Load): void {
  permit?.free();
  permit?.learn(load);
}

/** Answers `count` requests one after another. */
async function answer(limiter: AdaptiveLimiter, count: number): Promise<void> {
  for (let done = 0; done < count; done++) end(await limiter.acquire(undefined, NEVER), 'ok');
}

describe('adaptive limiter', () => {
  it('refuses at once, work without a deadline too, where a pause is asked that nobody waits', async () => {
    const timing = fakeTiming();
    const limiter = new AdaptiveLimiter({ timing });
    limiter.close(6 * 3_600_000);
    const fault = await rejection(limiter.acquire(undefined, NEVER), 'RATE_LIMITED');
    assert.equal(fault.retryAfterMs, 6 * 3_600_000);
    assert.equal(limiter.load, 0);
    // After ten minutes one may see whether it is still so.
    await timing.pass(600_000);
    (await limiter.acquire(undefined, NEVER)).free();
  });

  it('stays closed no longer than ten minutes where the clock is set back', async () => {
    const timing = fakeTiming();
    let backMs = 0;
    const limiter = new AdaptiveLimiter({
      timing: { ...timing, now: () => timing.now() - backMs },
    });
    limiter.close(1000);
    backMs = 24 * 3_600_000;
    const granted = ask(limiter, 1);
    await timing.pass(600_000);
    assert.equal(granted.length, 1);
  });

  it('lets 8 pass at the start, and the next when one is done', async () => {
    const limiter = new AdaptiveLimiter({ timing: fakeTiming() });
    const granted = await asked(limiter, 10);
    assert.equal(granted.length, 8);
    end(granted[0], 'aborted');
    end(granted[0], 'aborted');
    await settle();
    assert.equal(granted.length, 9);
  });

  it('grows by one per answer up to 32, and by one per window after a congestion', async () => {
    const limiter = new AdaptiveLimiter({ timing: fakeTiming() });
    await answer(limiter, 3);
    assert.equal((await asked(limiter, 40)).length, 8 + 3);
    const wide = new AdaptiveLimiter({ timing: fakeTiming() });
    await answer(wide, 100);
    assert.equal((await asked(wide, 40)).length, 32);
    const burnt = new AdaptiveLimiter({ timing: fakeTiming() });
    end(await burnt.acquire(undefined, NEVER), 'congested');
    await answer(burnt, 5);
    assert.equal((await asked(burnt, 40)).length, 5);
  });

  it('lets the next pass as soon as it has grown, and counts who holds and who waits', async () => {
    const limiter = new AdaptiveLimiter({ timing: fakeTiming() });
    const granted = await asked(limiter, 10);
    assert.equal(limiter.load, 10);
    granted[0]?.learn('ok');
    await settle();
    assert.equal(granted.length, 9);
  });

  it('halves once per congestion, and again at the next', async () => {
    const limiter = new AdaptiveLimiter({ timing: fakeTiming() });
    const burst = await asked(limiter, 8);
    for (const slot of burst) end(slot, 'congested');
    const half = await asked(limiter, 20);
    assert.equal(half.length, 4);
    for (const slot of half) end(slot, 'congested');
    await settle();
    assert.equal(half.length, 4 + 2);
  });

  it('always lets one pass', async () => {
    const limiter = new AdaptiveLimiter({ timing: fakeTiming() });
    for (let times = 0; times < 10; times++) {
      end(await limiter.acquire(undefined, NEVER), 'congested');
    }
    assert.equal((await asked(limiter, 2)).length, 1);
  });

  it('halves at a refusal that comes long after the place was given back', async () => {
    const limiter = new AdaptiveLimiter({ timing: fakeTiming() });
    const upload = await limiter.acquire(undefined, NEVER);
    upload.free();
    assert.equal(limiter.load, 0);
    upload.learn('congested');
    assert.equal(limiter.window, 4);
    upload.learn('congested');
    assert.equal(limiter.window, 4);
  });

  it('tells an observer who waits, holds and frees', async () => {
    const told: string[] = [];
    const limiter = new AdaptiveLimiter({
      timing: fakeTiming(),
      observer: {
        transfer: async (work) => work(),
        waits: (kind) => {
          told.push(`waits ${kind}`);
          return {
            taken: () => told.push(`holds ${kind}`),
            freed: () => told.push(`frees ${kind}`),
          };
        },
      },
    });
    end(await limiter.acquire(undefined, NEVER), 'ok');
    assert.deepEqual(told, ['waits start', 'holds start', 'frees start']);
  });

  it('lets a blob start among manifests without end', async () => {
    const limiter = new AdaptiveLimiter({ timing: fakeTiming() });
    end(await limiter.acquire(undefined, NEVER), 'congested');
    const names: string[] = [];
    const start = (name: string): void => {
      void limiter.acquire(undefined, PATIENT, name === 'manifest').then((permit) => {
        if (names.push(name) < 100) start(name);
        setImmediate(() => {
          permit.free();
        });
      });
    };
    for (let asked = 0; asked < 16; asked += 1) start('manifest');
    start('blob');
    while (names.length < 100) await settle();
    assert.equal(names.slice(10, 60).filter((name) => name === 'blob').length, 50 / 5);
  });

  it('lets manifests start before blobs, each in the order of coming', async () => {
    const limiter = new AdaptiveLimiter({ timing: fakeTiming() });
    const held = await asked(limiter, 8);
    const started: string[] = [];
    for (const name of ['blob 1', 'manifest 1', 'blob 2', 'manifest 2']) {
      void limiter.acquire(undefined, NEVER, name.startsWith('manifest')).then((permit) => {
        started.push(name);
        permit.free();
      });
    }
    held[0]?.free();
    await settle();
    assert.deepEqual(started, ['manifest 1', 'manifest 2', 'blob 1', 'blob 2']);
  });

  it('closes for all, and opens by itself', async () => {
    const timing = fakeTiming();
    const limiter = new AdaptiveLimiter({ timing });
    limiter.close(5000);
    const granted = ask(limiter, 1);
    await timing.pass(4999);
    assert.equal(granted.length, 0);
    await timing.pass(1);
    assert.equal(granted.length, 1);
  });

  it('believes no pause beyond 10 minutes and shortens none', async () => {
    const timing = fakeTiming();
    const told: number[] = [];
    const limiter = new AdaptiveLimiter({ timing, onPause: (untilMs) => told.push(untilMs) });
    limiter.close(2);
    limiter.close(2);
    limiter.close(1);
    assert.deepEqual(told, [timing.now() + 2]);
    limiter.close(1e12);
    limiter.close(1);
    assert.equal(told.length, 1);
    await timing.pass(10 * 60_000 - 1);
    await rejection(limiter.acquire(undefined, NEVER), 'RATE_LIMITED');
    await timing.pass(1);
    assert.equal((await asked(limiter, 1)).length, 1);
  });

  it('tells at once who would wait beyond his deadline, before and after', async () => {
    const timing = fakeTiming();
    const limiter = new AdaptiveLimiter({ timing });
    limiter.close(60_000);
    const deadlineAtMs = timing.now() + 59_999;
    const fault = await rejection(limiter.acquire(deadlineAtMs, NEVER), 'RATE_LIMITED');
    assert.equal(fault.retryAfterMs, 60_000);
    const last = limiter.acquire(deadlineAtMs + 1, NEVER);
    await timing.pass(60_000);
    (await last).free();
    const busy = new AdaptiveLimiter({ timing });
    const held = await asked(busy, 8);
    const waiting = busy.acquire(deadlineAtMs, NEVER);
    busy.close(60_000);
    await rejection(waiting, 'RATE_LIMITED');
    assert.equal(held.length, 8);
  });

  it('takes one from the bucket per request', async () => {
    const timing = fakeTiming();
    const limiter = new AdaptiveLimiter({
      timing,
      bucket: new TokenBucket({ perSecond: 10, burst: 2 }),
    });
    const granted = await asked(limiter, 4);
    assert.equal(granted.length, 2);
    await timing.pass(100);
    assert.equal(granted.length, 3);
    await timing.pass(100);
    assert.equal(granted.length, 4);
  });

  it('forgets who aborts, and lets the next pass', async () => {
    const limiter = new AdaptiveLimiter({ timing: fakeTiming() });
    const controller = new AbortController();
    // Who has got his place is nobody that leaves.
    await limiter.acquire(undefined, controller.signal);
    const held = await asked(limiter, 7);
    const leaving = limiter.acquire(undefined, controller.signal);
    const next = ask(limiter, 1);
    controller.abort();
    await rejection(leaving, 'ABORTED');
    await rejection(limiter.acquire(undefined, controller.signal), 'ABORTED');
    end(held[0], 'ok');
    await settle();
    assert.equal(next.length, 1);
  });

  it('waits for no end of a pause once nobody waits', async () => {
    const timing = fakeTiming();
    let timers = 0;
    const setTimer: Timing['setTimer'] = (delayMs, action) => {
      timers += 1;
      const stop = timing.setTimer(delayMs, action);
      return () => {
        timers -= 1;
        stop();
      };
    };
    const limiter = new AdaptiveLimiter({ timing: { ...timing, setTimer } });
    limiter.close(1000);
    const controller = new AbortController();
    const leaving = limiter.acquire(undefined, controller.signal);
    assert.equal(timers, 1);
    controller.abort();
    await rejection(leaving, 'ABORTED');
    assert.equal(timers, 0);
  });

  it('stays below what Artifact Registry grants', () => {
    assert.deepEqual(ARTIFACT_REGISTRY_RATE, { perSecond: 50, burst: 500 });
  });

  it('is idle where nobody holds or waits for a place, and no pause is to be kept', async () => {
    const timing = fakeTiming();
    const limiter = new AdaptiveLimiter({ timing });
    assert.equal(limiter.isIdle, true);
    const permit = await limiter.acquire(undefined, NEVER);
    assert.equal(limiter.isIdle, false);
    permit.free();
    assert.equal(limiter.isIdle, true);
    limiter.close(1000);
    assert.equal(limiter.isIdle, false);
    await timing.pass(1000);
    assert.equal(limiter.isIdle, true);
  });
});
