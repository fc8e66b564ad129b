import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Reason } from '../../functions/contract/event.ts';
import { laneOf, PublishQueue, sameState, type Offer } from '../../bridge/publish-queue.ts';

function offer(uid: string, reason: Reason, nowMs: number, revision = 'A'): Offer {
  const state = { image: 'ghcr.io/org/app', revision, configurationDigest: 'c' };
  return { uid, reason, state, nowMs };
}

const uids = (events: readonly { readonly uid: string }[]): string[] =>
  events.map(({ uid }) => uid);

describe('PublishQueue', () => {
  it('gives the oldest of an urgency first, and so many', () => {
    const queue = new PublishQueue();
    for (const uid of ['a', 'b', 'c']) queue.offer(offer(uid, 'changed', 0));
    queue.offer(offer('d', 'initial', 0));
    assert.deepEqual(uids(queue.take('change', 2)), ['a', 'b']);
    assert.deepEqual(uids(queue.take('change', 2)), ['c']);
    assert.deepEqual(uids(queue.take('replay', 2)), ['d']);
    assert.deepEqual(queue.take('change', 2), []);
  });

  it('holds one event an object, however often it is offered', () => {
    const queue = new PublishQueue();
    for (let index = 0; index < 1000; index += 1) {
      queue.offer(offer(`uid-${index % 10}`, 'changed', index, String(index)));
    }
    assert.equal(queue.depth('change'), 10);
    assert.equal(queue.take('change', 100)[0]?.state.revision, '990');
  });

  it('keeps the newest state, the stronger reason and the greater urgency', () => {
    const queue = new PublishQueue();
    queue.offer(offer('a', 'changed', 1, 'A'));
    queue.offer(offer('a', 'resync', 2, 'B'));
    const [event] = queue.take('change', 1);
    assert.equal(event?.reason, 'resync');
    assert.equal(event.urgency, 'change');
    assert.equal(event.state.revision, 'B');
    assert.equal(event.sinceMs, 1);
    assert.equal(queue.depth('resync'), 0);
  });

  it('moves what waits in the replay up when it changes', () => {
    const queue = new PublishQueue();
    queue.offer(offer('a', 'initial', 1, 'A'));
    queue.offer(offer('a', 'changed', 2, 'B'));
    assert.equal(queue.depth('replay'), 0);
    assert.equal(queue.waiting('a')?.reason, 'changed');
    assert.equal(queue.waiting('a')?.urgency, 'change');
  });

  it('counts the age of what waits from when it waits with that urgency', () => {
    const queue = new PublishQueue();
    queue.offer(offer('a', 'initial', 1, 'A'));
    queue.offer(offer('a', 'changed', 50, 'B'));
    queue.offer(offer('a', 'changed', 100, 'C'));
    assert.equal(queue.waiting('a')?.sinceMs, 50);
    queue.offer(offer('a', 'resync', 200, 'C'));
    assert.equal(queue.waiting('a')?.sinceMs, 50);
  });

  it('takes nothing of an object of which something is in flight', () => {
    const queue = new PublishQueue();
    queue.offer(offer('a', 'changed', 1, 'A'));
    queue.take('change', 1);
    queue.offer(offer('a', 'changed', 2, 'B'));
    assert.deepEqual(queue.take('change', 1), []);
    queue.settle('a');
    assert.equal(queue.take('change', 1)[0]?.state.revision, 'B');
  });

  it('merges what is given back with what came meanwhile', () => {
    const queue = new PublishQueue();
    queue.offer({ ...offer('a', 'requested', 1, 'A'), requestedAt: 'now' });
    queue.take('change', 1);
    queue.offer(offer('a', 'changed', 2, 'B'));
    queue.giveBack('a');
    const [event] = queue.take('change', 1);
    assert.equal(event?.reason, 'requested');
    assert.equal(event.state.revision, 'B');
    assert.equal(event.requestedAt, 'now');
    assert.equal(event.sinceMs, 1);
  });

  it('gives back only what is in flight', () => {
    const queue = new PublishQueue();
    queue.giveBack('a');
    assert.equal(queue.waiting('a'), undefined);
  });

  it('forgets an object', () => {
    const queue = new PublishQueue();
    queue.offer(offer('a', 'changed', 1));
    queue.drop('a');
    assert.equal(queue.waiting('a'), undefined);
    assert.equal(queue.oldestSinceMs(), undefined);
  });

  it('tells since when the oldest waits, in flight or not, by urgency', () => {
    const queue = new PublishQueue();
    queue.offer(offer('a', 'initial', 10));
    queue.offer(offer('b', 'changed', 20));
    assert.equal(queue.oldestSinceMs(), 10);
    assert.equal(queue.oldestSinceMs(['change', 'follow-up']), 20);
    queue.take('replay', 1);
    assert.equal(queue.oldestSinceMs(), 10);
    queue.settle('a');
    assert.equal(queue.oldestSinceMs(), 20);
  });
});

describe('laneOf', () => {
  it('sends the replay alone to the bulk lane', () => {
    assert.equal(laneOf('replay'), 'bulk');
    for (const urgency of ['change', 'follow-up', 'resync'] as const) {
      assert.equal(laneOf(urgency), 'events');
    }
  });
});

describe('sameState', () => {
  it('compares image, revision and configuration', () => {
    const state = { image: 'a', revision: 'b', configurationDigest: 'c' };
    assert.ok(sameState(state, { ...state }));
    assert.ok(!sameState(state, { ...state, image: 'x' }));
    assert.ok(!sameState(state, { ...state, revision: 'x' }));
    assert.ok(!sameState(state, { ...state, configurationDigest: 'x' }));
  });
});
