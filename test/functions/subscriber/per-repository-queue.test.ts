import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Compares } from '../../../functions/contract/newest.ts';
import { comparesBy } from '../../../functions/mirror/verification.ts';
import type { MirrorEvent, MirrorRequest } from '../../../functions/contract/event.ts';
import {
  PerRepositoryQueue,
  type Turn,
} from '../../../functions/subscriber/per-repository-queue.ts';
import { sampleEvent } from './samples.ts';
import { rejection } from '../../faults.ts';
import { MIRROR_OPTIONS } from '../../mirror-options.ts';

const KEY = 'ghcr.io/org/app → mirror/app';

/** An event of a minute, which is its revision as well. */
function event(minute: number, data: Partial<MirrorRequest> = {}, uid = 'u-1'): MirrorEvent {
  return sampleEvent(
    {
      imageRepository: { namespace: 'flux-system', name: 'app', uid },
      revision: String(minute),
      ...data,
    },
    new Date(Date.UTC(2026, 7, 10, 9, minute)).toISOString(),
  );
}

/** Turns whose executions end when the test says so. */
function rig(compares: Compares = comparesBy(MIRROR_OPTIONS)): {
  enter: (event: MirrorEvent, signal?: AbortSignal, key?: string) => Promise<Turn<string>>;
  executed: string[];
  end: (error?: Error) => Promise<void>;
} {
  const turns = new PerRepositoryQueue<string>(() => Date.UTC(2026, 7, 11), compares);
  const executed: string[] = [];
  const open: ((error?: Error) => void)[] = [];
  return {
    executed,
    enter: async (entered, signal = new AbortController().signal, key = KEY) =>
      turns.enter(key, {
        event: entered,
        signal,
        execute: async ({ data }) => {
          const name = `${data.revision} ${data.reason}`;
          executed.push(name);
          await new Promise<void>((resolve, reject) => {
            open.push((error) => {
              if (error === undefined) resolve();
              else reject(error);
            });
          });
          return name;
        },
      }),
    end: async (error) => {
      open.shift()?.(error);
      await new Promise(setImmediate);
    },
  };
}

describe('repository turns', () => {
  it('executes one at a time per key, and other keys beside it', async () => {
    const { enter, executed, end } = rig();
    const first = enter(event(1));
    const second = enter(event(2));
    const other = enter(event(3), undefined, 'other');
    assert.deepEqual(executed, ['1 changed', '3 changed']);
    await end();
    assert.deepEqual(executed, ['1 changed', '3 changed', '2 changed']);
    await end();
    await end();
    assert.deepEqual(await Promise.all([first, second, other]), [
      { result: '1 changed', shared: false },
      { result: '2 changed', shared: false },
      { result: '3 changed', shared: false },
    ]);
  });

  it('executes only the newest of one object, with the strongest reason', async () => {
    const { enter, executed, end } = rig();
    const running = enter(event(1));
    const waiting = [
      enter(event(2, { reason: 'resync' })),
      enter(event(4)),
      enter(event(3, { exclusionList: ['x'] })),
    ];
    await end();
    await end();
    await running;
    assert.deepEqual(executed, ['1 changed', '4 resync']);
    assert.deepEqual(
      (await Promise.all(waiting)).map(({ result, shared }) => `${result} ${String(shared)}`),
      ['4 resync true', '4 resync false', '4 resync true'],
    );
  });

  it('is not led by an event that claims to come from the future', async () => {
    const { enter, executed, end } = rig();
    const running = enter(event(1));
    const forged = { ...event(2), time: '9999-01-01T00:00:00Z' };
    const waiting = [enter(forged), enter(event(3))];
    await end();
    await end();
    await running;
    assert.deepEqual(executed, ['1 changed', '3 changed']);
    assert.deepEqual(
      (await Promise.all(waiting)).map(({ shared }) => shared),
      [true, false],
    );
  });

  it('keeps objects of one uid and different sources apart', async () => {
    const { enter, executed, end } = rig();
    const running = enter(event(1));
    const other = { ...event(2, { exclusionList: ['x'] }), source: '//other/namespaces/n/x' };
    const waiting = [enter(other), enter(event(3))];
    for (let turn = 0; turn < 3; turn++) await end();
    await Promise.all([running, ...waiting]);
    assert.deepEqual(executed, ['1 changed', '2 changed', '3 changed']);
  });

  it('shares with another object only what asks for the same, with no stronger reason', async () => {
    const { enter, executed, end } = rig();
    const running = enter(event(1));
    const waiting = [
      enter(event(2, { reason: 'resync' })),
      enter(event(3), undefined),
      enter(event(4, {}, 'u-2')),
      enter(event(5, { reason: 'requested' }, 'u-3')),
      enter(event(6, { exclusionList: ['x'] }, 'u-4')),
    ];
    for (let turn = 0; turn < 4; turn++) await end();
    await running;
    const results = await Promise.all(waiting);
    assert.deepEqual(executed, ['1 changed', '3 resync', '5 requested', '6 changed']);
    assert.deepEqual(
      results.map(({ result }) => result),
      ['3 resync', '3 resync', '3 resync', '5 requested', '6 changed'],
    );
  });

  it('shares with no other object what compares more than is done', async () => {
    for (const verifyTags of ['mutable', 'all'] as const) {
      const { enter, executed, end } = rig(comparesBy({ verifyTags, resyncVerify: 'mutable' }));
      const all = [
        enter(event(1)),
        enter(event(2, { reason: 'resync' }, 'b')),
        enter(event(3, {}, 'c')),
      ];
      for (const _turn of all) await end();
      await Promise.all(all);
      const apart = verifyTags === 'all' ? ['3 changed'] : [];
      assert.deepEqual(executed, ['1 changed', '2 resync', ...apart]);
    }
  });

  it('never shares an execution that had begun before', async () => {
    const { enter, executed, end } = rig();
    const first = enter(event(1));
    const same = enter(event(1));
    await end();
    await end();
    assert.equal((await first).shared, false);
    assert.equal((await same).shared, false);
    assert.equal(executed.length, 2);
  });

  it('lets a waiting one leave at its deadline, and executes the others', async () => {
    const { enter, executed, end } = rig();
    const running = enter(event(1));
    const deadline = new AbortController();
    const leaving = enter(event(2), deadline.signal);
    const staying = enter(event(3, {}, 'u-2'));
    deadline.abort();
    await rejection(leaving, 'DEADLINE_EXCEEDED');
    await end();
    await end();
    await Promise.all([running, staying]);
    assert.deepEqual(executed, ['1 changed', '3 changed']);
  });

  it('leaves the deadline of the executing one to its execution', async () => {
    const { enter, end } = rig();
    const deadline = new AbortController();
    const running = enter(event(1), deadline.signal);
    deadline.abort();
    await end();
    assert.deepEqual(await running, { result: '1 changed', shared: false });
  });

  it('refuses one whose deadline has passed', async () => {
    const { enter, executed } = rig();
    await rejection(enter(event(1), AbortSignal.abort()), 'DEADLINE_EXCEEDED');
    assert.deepEqual(executed, []);
  });

  it('fails with those it shares, and goes on with the next', async () => {
    const { enter, executed, end } = rig();
    const running = enter(event(1));
    const waiting = [enter(event(2)), enter(event(3))];
    const failed = Promise.allSettled([running, ...waiting]);
    await end(new Error('first'));
    await end(new Error('second'));
    const results = await failed;
    assert.deepEqual(
      results.map((result) => result.status),
      ['rejected', 'rejected', 'rejected'],
    );
    const after = enter(event(4));
    await end();
    assert.equal((await after).shared, false);
    assert.deepEqual(executed, ['1 changed', '3 changed', '4 changed']);
  });
});
