import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Random } from '../random.ts';
import { EPOCH_MS, Scheduler } from './scheduler.ts';

const STALL_MS = 1_000;

function scheduler(seed = 1, slackMs = 0): Scheduler {
  return new Scheduler(new Random(seed), slackMs, true);
}

describe('the scheduler of the simulation', () => {
  it('lets virtual time jump to what is due next', async () => {
    const time = scheduler();
    const seen: number[] = [];
    const timing = time.timing('test', () => true);
    timing.setTimer(3_600_000, () => seen.push(timing.now() - EPOCH_MS));
    timing.setTimer(5, () => seen.push(timing.now() - EPOCH_MS));
    const ending = await time.run(
      () => seen.length === 2,
      () => false,
      STALL_MS,
    );
    assert.deepEqual(ending, { kind: 'ended' });
    assert.deepEqual(seen, [5, 3_600_000]);
  });

  it('takes what is due at one time in every order', async () => {
    const orders = new Set<string>();
    for (let seed = 1; seed <= 40; seed += 1) {
      const time = scheduler(seed);
      let order = '';
      for (const name of ['a', 'b', 'c']) {
        time.after(1, 'arrival', name, () => (order += name));
      }
      await time.run(
        () => order.length === 3,
        () => false,
        STALL_MS,
      );
      orders.add(order);
    }
    assert.equal(orders.size, 6);
  });

  it('knows a hang: nothing will happen and the work has not ended', async () => {
    const ending = await scheduler().run(
      () => false,
      () => true,
      STALL_MS,
    );
    assert.deepEqual(ending, { kind: 'hang' });
  });

  it('knows a stall: only timers go on for longer than any limit', async () => {
    const time = scheduler();
    time.after(10, 'arrival', 'something', () => undefined);
    time.timing('delivery', () => true).setTimer(540_000, () => undefined);
    const ending = await time.run(
      () => false,
      () => true,
      STALL_MS,
    );
    assert.equal(ending.kind, 'stall');
  });

  it('waits for all that the program does between two steps', async () => {
    const time = scheduler();
    const seen: string[] = [];
    time.after(1, 'arrival', 'first', () => {
      void (async () => {
        for (let turn = 0; turn < 50; turn += 1) await Promise.resolve();
        await new Promise((resolve) => {
          process.nextTick(resolve);
        });
        seen.push('first');
      })();
    });
    time.after(1.5, 'arrival', 'second', () => seen.push('second'));
    await time.run(
      () => seen.length === 2,
      () => false,
      STALL_MS,
    );
    assert.deepEqual(seen, ['first', 'second']);
  });

  it('takes back a step', async () => {
    const time = scheduler();
    const stop = time.after(1, 'timer', 'never', () => assert.fail('taken'));
    stop();
    assert.deepEqual(time.timersPending, []);
    const ending = await time.run(
      () => false,
      () => false,
      STALL_MS,
    );
    assert.deepEqual(ending, { kind: 'hang' });
  });
});
