import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { JobTemplate, Task } from '../../stand-ins/cloud-run/execution.ts';
import { Schedule } from '../../stand-ins/cloud-run/schedule.ts';

const NONE = { args: undefined, env: {}, taskCount: undefined, timeoutMs: undefined };

function job(name: string, concurrency: number): { template: JobTemplate; exits: (() => void)[] } {
  const exits: (() => void)[] = [];
  const start = (): Task => {
    const { promise, resolve } = Promise.withResolvers<number>();
    const exit = (): void => {
      resolve(0);
    };
    exits.push(exit);
    return { ended: promise, stop: exit };
  };
  return { exits, template: { name, taskTimeoutMs: 60_000, maxRetries: 0, concurrency, start } };
}

describe('schedule', () => {
  it('lets executions over the concurrency of their job wait, those of others not', async () => {
    const schedule = new Schedule(Date.now);
    const [one, other] = [job('jobs/one', 1), job('jobs/other', 1)];
    schedule.add(one.template, NONE);
    schedule.add(one.template, NONE);
    schedule.add(other.template, NONE);
    assert.deepEqual([one.exits.length, other.exits.length], [1, 1]);
    one.exits[0]?.();
    await new Promise(setImmediate);
    assert.equal(one.exits.length, 2);
    one.exits[1]?.();
    other.exits[0]?.();
    await schedule.idle();
    assert.ok(schedule.executions.every(({ succeeded }) => succeeded));
  });

  it('cancels what runs and forgets what waits when it is stopped', async () => {
    const schedule = new Schedule(Date.now);
    const { template, exits } = job('jobs/one', 1);
    schedule.add(template, NONE);
    schedule.add(template, NONE);
    await schedule.stop();
    assert.equal(exits.length, 1);
    assert.deepEqual(
      schedule.executions.map(({ ended }) => ended),
      [true, false],
    );
  });
});
