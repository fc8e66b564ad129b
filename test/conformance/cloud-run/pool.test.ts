import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Instance } from '../../stand-ins/cloud-run/instance.ts';
import { InstancePool, type Slot } from '../../stand-ins/cloud-run/pool.ts';

function instances(): { start: () => Promise<Instance>; started: (() => void)[] } {
  const started: (() => void)[] = [];
  const start = async (): Promise<Instance> => {
    const { promise: gone, resolve } = Promise.withResolvers<number>();
    const end = (): void => {
      resolve(0);
    };
    started.push(end);
    return Promise.resolve({
      url: '',
      gone,
      kill: end,
      stop: async () => {
        end();
        return Promise.resolve();
      },
    });
  };
  return { start, started };
}

describe('instance pool', () => {
  it('fills an instance before it starts another', () => {
    const { start, started } = instances();
    const pool = new InstancePool(start, 2, 2);
    const taken = Array.from({ length: 4 }, () => {
      const slot = pool.take();
      if (slot !== undefined) slot.inFlight += 1;
      return slot;
    });
    assert.equal(started.length, 2);
    assert.equal(taken[0], taken[1]);
    assert.equal(pool.take(), undefined);
  });

  it('gives the next request to the least busy', () => {
    const pool = new InstancePool(instances().start, 2, 2);
    const take = (): Slot => {
      const slot = pool.take();
      assert.ok(slot !== undefined);
      slot.inFlight += 1;
      return slot;
    };
    const first = take();
    take();
    const second = take();
    assert.notEqual(second, first);
    second.inFlight = 0;
    first.inFlight = 1;
    assert.equal(pool.take(), second);
  });

  it('starts another in place of one that went away or was taken out', async () => {
    const { start, started } = instances();
    const pool = new InstancePool(start, 1, 1);
    const first = await pool.take()!.instance;
    started[0]?.();
    await first.gone;
    await new Promise(setImmediate);
    const second = await pool.take()!.instance;
    assert.notEqual(second, first);
    await pool.takeOut(second);
    assert.deepEqual(pool.ready, []);
    assert.notEqual(await pool.take()!.instance, second);
    assert.equal(started.length, 3);
    await pool.stop();
  });
});
