import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Reason } from '../../functions/contract/event.ts';
import {
  laneOf,
  PublishQueue,
  URGENCIES,
  type Offer,
  type Subject,
} from '../../bridge/publish-queue.ts';
import { subject } from './objects.ts';

function offer(of: string | Subject, reason: Reason, nowMs: number): Offer {
  return { subject: typeof of === 'string' ? subject(of) : of, reason, nowMs };
}

const uids = (events: readonly { readonly subject: Subject }[]): string[] =>
  events.map(({ subject: { uid } }) => uid);

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
      queue.offer(offer(`uid-${index % 10}`, 'changed', index));
    }
    assert.equal(queue.depth('change'), 10);
  });

  it('keeps the stronger reason and the greater urgency', () => {
    const queue = new PublishQueue();
    queue.offer(offer('a', 'changed', 1));
    queue.offer({ ...offer('a', 'resync', 2), resyncSlot: 7, verify: 'none' });
    queue.offer(offer('a', 'changed', 3));
    const [event] = queue.take('change', 1);
    assert.equal(event?.reason, 'resync');
    assert.equal(event.urgency, 'change');
    assert.equal(event.sinceMs, 1);
    assert.deepEqual([event.resyncSlot, event.verify], [7, 'none']);
    assert.equal(queue.depth('resync'), 0);
  });

  it('moves what waits in the replay up when it changes', () => {
    const queue = new PublishQueue();
    queue.offer(offer('a', 'initial', 1));
    queue.offer(offer('a', 'changed', 2));
    assert.equal(queue.depth('replay'), 0);
    assert.equal(queue.waiting('a')?.reason, 'changed');
    assert.equal(queue.waiting('a')?.urgency, 'change');
  });

  it('counts the age of what waits from when it waits with that urgency', () => {
    const queue = new PublishQueue();
    queue.offer(offer('a', 'initial', 1));
    queue.offer(offer('a', 'changed', 50));
    queue.offer(offer('a', 'changed', 100));
    assert.equal(queue.waiting('a')?.sinceMs, 50);
    queue.offer(offer('a', 'resync', 200));
    assert.equal(queue.waiting('a')?.sinceMs, 50);
  });

  it('takes nothing of an object of which something is in flight', () => {
    const queue = new PublishQueue();
    queue.offer(offer('a', 'changed', 1));
    queue.take('change', 1);
    queue.offer(offer('a', 'changed', 2));
    assert.deepEqual(queue.take('change', 1), []);
    queue.settle('a');
    assert.equal(queue.take('change', 1)[0]?.sinceMs, 2);
  });

  it('merges what is given back with what came meanwhile', () => {
    const queue = new PublishQueue();
    queue.offer({ ...offer('a', 'requested', 1), requestedAt: 'now' });
    queue.take('change', 1);
    queue.offer(offer('a', 'changed', 2));
    queue.giveBack('a');
    const [event] = queue.take('change', 1);
    assert.equal(event?.reason, 'requested');
    assert.equal(event.requestedAt, 'now');
    assert.equal(event.sinceMs, 1);
  });

  it('compares all tags where one of those merged was to, whatever becomes of its reason', () => {
    for (const reason of ['requested', 'resync'] as const) {
      for (const verify of [undefined, 'mutable', 'none'] as const) {
        const queue = new PublishQueue();
        queue.offer({ ...offer('a', reason, 1), verify: 'all' });
        queue.offer({ ...offer('a', 'changed', 2), verify });
        queue.weaken('a');
        const [taken] = queue.take('change', 1);
        const weakened = reason === 'requested' ? 'changed' : reason;
        assert.deepEqual([taken?.verify, taken?.reason], ['all', weakened]);
        queue.offer({ ...offer('a', 'changed', 3), verify });
        queue.giveBack('a');
        assert.equal(queue.take('change', 1)[0]?.verify, 'all');
      }
    }
  });

  it('gives back what is in flight, and nothing else', () => {
    const queue = new PublishQueue();
    queue.giveBack('a');
    assert.equal(queue.waiting('a'), undefined);
    queue.offer(offer('a', 'changed', 1));
    const taken = queue.take('change', 1);
    queue.giveBack('a');
    assert.deepEqual(queue.take('change', 1), taken);
  });

  it('takes the object as it is when it is taken, with what was published before', () => {
    const queue = new PublishQueue();
    const one = subject('a', '1');
    queue.offer(offer(one, 'changed', 1));
    Object.assign(one, { publishable: subject('a', '2').publishable });
    Object.assign(one, { published: { image: 'i', revision: '0', configurationDigest: 'c' } });
    const [taken] = queue.take('change', 1);
    assert.equal(taken?.publishable.state.revision, '2');
    assert.equal(taken.previousRevision, '0');
    assert.equal(queue.inFlight('a'), taken);
  });

  it('drops what may not be published any more', () => {
    const queue = new PublishQueue();
    const one = subject('a');
    queue.offer(offer(one, 'changed', 1));
    queue.offer(offer('b', 'changed', 1));
    Object.assign(one, { publishable: undefined });
    assert.deepEqual(uids(queue.take('change', 1)), ['b']);
    assert.equal(queue.waiting('a'), undefined);
    assert.equal(queue.depth('change'), 0);
  });

  it('drops of a suspended object what is no change', () => {
    const queue = new PublishQueue();
    for (const reason of ['changed', 'follow-up', 'resync', 'initial'] as const) {
      queue.offer(offer(subject(reason, '1', { suspend: true }), reason, 1));
    }
    const taken = URGENCIES.flatMap((urgency) => queue.take(urgency, 10));
    assert.deepEqual(uids(taken), ['changed']);
  });

  it('gives back what was taken of an object that came again, as its newest', () => {
    const queue = new PublishQueue();
    const [before, after] = [subject('a', '1'), subject('a', '2')];
    queue.offer(offer(before, 'changed', 1));
    queue.take('change', 1);
    queue.offer(offer(after, 'initial', 2));
    queue.giveBack('a');
    assert.equal(queue.take('change', 1)[0]?.subject, after);
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
    assert.equal(queue.oldestSinceMs(['change']), 20);
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
