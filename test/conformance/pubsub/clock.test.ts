import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { ManualClock, systemClock } from '../../stand-ins/pubsub/clock.ts';

describe('manual clock', () => {
  it('runs what becomes due in the order of its time, and at that time', () => {
    const clock = new ManualClock(1_000);
    const ran: string[] = [];
    clock.after(20, () => ran.push(`late at ${clock.nowMs()}`));
    clock.after(10, () => ran.push(`early at ${clock.nowMs()}`));
    clock.advance(15);
    assert.deepEqual(ran, ['early at 1010']);
    clock.advance(5);
    assert.deepEqual(ran, ['early at 1010', 'late at 1020']);
    assert.equal(clock.nowMs(), 1_020);
  });

  it('runs timers that are started meanwhile, where they become due too', () => {
    const clock = new ManualClock(0);
    let runs = 0;
    const again = (): void => {
      runs += 1;
      clock.after(10, again);
    };
    clock.after(10, again);
    clock.advance(35);
    assert.equal(runs, 3);
    assert.equal(clock.timers, 1);
  });

  it('does not run a cancelled timer', () => {
    const clock = new ManualClock(0);
    const timer = clock.after(10, () => assert.fail('it was cancelled'));
    timer.cancel();
    clock.advance(20);
    assert.equal(clock.timers, 0);
  });
});

describe('system clock', () => {
  it('runs a timer once, later', async () => {
    let ran = false;
    await new Promise<void>((resolve) => {
      systemClock.after(0, () => {
        ran = true;
        resolve();
      });
      assert.equal(ran, false);
    });
    assert.equal(ran, true);
  });

  it('takes delays longer than those of a Node timer', async () => {
    const timer = systemClock.after(31 * 24 * 3_600_000, () => assert.fail('it is due in a month'));
    await new Promise((resolve) => setTimeout(resolve, 5));
    timer.cancel();
  });
});
