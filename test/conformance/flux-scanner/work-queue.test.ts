import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { WorkQueue, type WorkResult } from '../../stand-ins/flux-scanner/work-queue.ts';

const options = { concurrency: 2, minRetryMs: 1, maxRetryMs: 4 };

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1));
}

describe('the work queue', () => {
  it('works on a key once at a time and again when it was added meanwhile', async () => {
    const finish: (() => void)[] = [];
    const queue = new WorkQueue(
      options,
      () =>
        new Promise<WorkResult>((resolve) => {
          finish.push(() => {
            resolve({ kind: 'done' });
          });
        }),
    );
    queue.add('a');
    queue.add('a');
    queue.add('a');
    assert.equal(finish.length, 1);
    finish[0]?.();
    await until(() => finish.length === 2);
    finish[1]?.();
    await queue.close();
    assert.equal(finish.length, 2);
  });

  it('works on no more keys at once than it may', async () => {
    let running = 0;
    let most = 0;
    let done = 0;
    const queue = new WorkQueue(options, async () => {
      running += 1;
      most = Math.max(most, running);
      await new Promise((resolve) => setTimeout(resolve, 2));
      running -= 1;
      done += 1;
      return { kind: 'done' };
    });
    for (const key of ['a', 'b', 'c', 'd', 'e']) queue.add(key);
    await until(() => done === 5);
    await queue.close();
    assert.equal(most, 2);
  });

  it('comes back after a failure until it succeeds', async () => {
    let tries = 0;
    const queue = new WorkQueue(options, () => {
      tries += 1;
      return Promise.resolve<WorkResult>({ kind: tries < 5 ? 'failed' : 'done' });
    });
    queue.add('a');
    await until(() => tries === 5);
    await queue.close();
  });

  it('comes back when it was told to, unless the key is forgotten', async () => {
    const worked: string[] = [];
    const queue = new WorkQueue(options, (key) => {
      worked.push(key);
      return Promise.resolve<WorkResult>({ kind: 'done', afterMs: key === 'later' ? 600_000 : 1 });
    });
    queue.add('later');
    queue.add('soon');
    await until(() => worked.length === 4);
    queue.forget('soon');
    assert.deepEqual(worked, ['later', 'soon', 'soon', 'soon']);
    await queue.close();
    queue.add('soon');
    assert.equal(worked.length, 4);
  });
});
