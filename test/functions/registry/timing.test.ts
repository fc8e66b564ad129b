import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Fault } from '../../../functions/fault.ts';
import {
  abortFault,
  raceSignal,
  sleep,
  SYSTEM_TIMING,
} from '../../../functions/registry/timing.ts';
import { fakeTiming, NEVER, rejection } from './setting.ts';

describe('timing', () => {
  it('sleeps as long as it is told', async () => {
    const timing = fakeTiming();
    let awake = false;
    const asleep = sleep(timing, 100, NEVER).then(() => (awake = true));
    await timing.pass(99);
    assert.equal(awake, false);
    await timing.pass(1);
    assert.equal(awake, true);
    await asleep;
  });

  it('wakes at once when the signal aborts, with the reason where that is a fault', async () => {
    const controller = new AbortController();
    const asleep = sleep(fakeTiming(), 1e9, controller.signal);
    controller.abort(new Fault('DEADLINE_EXCEEDED', 'over'));
    await rejection(asleep, 'DEADLINE_EXCEEDED');
    await rejection(sleep(fakeTiming(), 1, controller.signal), 'DEADLINE_EXCEEDED');
    assert.equal(abortFault(AbortSignal.abort()).code, 'ABORTED');
  });

  it('lets who waits go while the promise goes on', async () => {
    const controller = new AbortController();
    const { promise, resolve } = Promise.withResolvers<number>();
    const one = raceSignal(promise, controller.signal);
    const other = raceSignal(promise, NEVER);
    controller.abort();
    await rejection(one, 'ABORTED');
    resolve(7);
    assert.equal(await other, 7);
    await rejection(raceSignal(Promise.reject(new Error('unheard')), controller.signal), 'ABORTED');
  });

  it('takes timers of the machine back', async () => {
    const stop = SYSTEM_TIMING.setTimer(1, () => {
      assert.fail('was taken back');
    });
    stop();
    await sleep(SYSTEM_TIMING, 5, NEVER);
    assert.ok(SYSTEM_TIMING.now() > 1_700_000_000_000);
  });
});
