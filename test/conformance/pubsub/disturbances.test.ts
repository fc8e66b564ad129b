import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { ManualClock } from '../../stand-ins/pubsub/clock.ts';
import { Disturbances } from '../../stand-ins/pubsub/disturbances.ts';

interface Setting {
  readonly clock: ManualClock;
  readonly disturbances: Disturbances;
  /** How often the method was carried out. */
  readonly done: () => number;
  readonly publish: (topic: string, signal?: AbortSignal) => Promise<object>;
}

function setting(): Setting {
  const clock = new ManualClock(0);
  const disturbances = new Disturbances(clock);
  let done = 0;
  const method = disturbances.decorate('Publish', () => {
    done += 1;
    return { done };
  });
  return {
    clock,
    disturbances,
    done: () => done,
    publish: async (topic, signal = new AbortController().signal) =>
      method({ topic } as never, { signal }),
  };
}

describe('disturbances', () => {
  it('leave requests alone where there are none', async () => {
    assert.deepEqual(await setting().publish('a'), { done: 1 });
  });

  it('refuse as many requests as asked for', async () => {
    const { disturbances, publish, done } = setting();
    disturbances.add({ method: 'Publish', kind: 'refused', status: 'UNAVAILABLE', times: 2 });
    for (let request = 0; request < 2; request += 1) {
      await assert.rejects(publish('a'), { name: 'Refusal', status: 'UNAVAILABLE' });
    }
    assert.equal(done(), 0);
    await publish('a');
    assert.equal(done(), 1);
  });

  it('refuse for ever, until they are cleared', async () => {
    const { disturbances, publish } = setting();
    disturbances.add({
      method: 'Publish',
      kind: 'refused',
      status: 'PERMISSION_DENIED',
      times: Infinity,
    });
    for (let request = 0; request < 20; request += 1) {
      await assert.rejects(publish('a'), { status: 'PERMISSION_DENIED' });
    }
    disturbances.clear();
    await publish('a');
  });

  it('meet the named method and resource only, the oldest first', async () => {
    const { disturbances, publish } = setting();
    disturbances.add(
      { method: 'Pull', kind: 'refused', status: 'ABORTED' },
      { method: 'Publish', resource: 'b', kind: 'refused', status: 'NOT_FOUND' },
      { method: 'Publish', kind: 'refused', status: 'UNAVAILABLE' },
    );
    await assert.rejects(publish('a'), { status: 'UNAVAILABLE' });
    await publish('a');
    await assert.rejects(publish('b'), { status: 'NOT_FOUND' });
    await publish('b');
  });

  it('carry a request out and lose its answer', async () => {
    const { disturbances, publish, done } = setting();
    disturbances.add({ method: 'Publish', kind: 'answer-lost' });
    await assert.rejects(publish('a'), { status: 'UNAVAILABLE' });
    assert.equal(done(), 1);
  });

  it('carry a request out twice', async () => {
    const { disturbances, publish } = setting();
    disturbances.add({ method: 'Publish', kind: 'repeated' });
    assert.deepEqual(await publish('a'), { done: 2 });
  });

  it('carry a request out late', async () => {
    const { disturbances, publish, done, clock } = setting();
    disturbances.add({ method: 'Publish', kind: 'slow', delayMs: 5_000 });
    const answer = publish('a');
    clock.advance(4_999);
    assert.equal(done(), 0);
    clock.advance(1);
    assert.deepEqual(await answer, { done: 1 });
  });

  it('do not carry out what the caller has given up', async () => {
    const { disturbances, publish, done, clock } = setting();
    const abort = new AbortController();
    disturbances.add({ method: 'Publish', kind: 'slow', delayMs: 5_000 });
    const answer = publish('a', abort.signal);
    abort.abort();
    await assert.rejects(answer, { status: 'CANCELLED' });
    clock.advance(10_000);
    assert.equal(done(), 0);
  });
});
