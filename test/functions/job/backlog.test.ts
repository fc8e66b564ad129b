import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { MirrorEvent } from '../../../functions/contract/event.ts';
import { Backlog } from '../../../functions/job/backlog.ts';
import { comparesBy } from '../../../functions/mirror/verification.ts';
import { sampleEvent } from '../subscriber/samples.ts';
import { PUBLISHED_AT_MS } from './messages.ts';
import { MIRROR_OPTIONS } from '../../mirror-options.ts';

const any = (): boolean => true;

/** Adds events one after another; their messages are numbered from the last, which is 1. */
function backlogOf(...events: readonly MirrorEvent[]): Backlog<number> {
  const backlog = new Backlog<number>(comparesBy(MIRROR_OPTIONS));
  for (const [index, event] of events.entries()) {
    backlog.add(event, events.length - index, PUBLISHED_AT_MS);
  }
  return backlog;
}

describe('backlog', () => {
  it('keeps the newest event of an object, with the strongest reason, and all its messages', () => {
    const backlog = backlogOf(
      sampleEvent({ revision: 'b' }, '2026-08-10T09:02:00Z'),
      sampleEvent({ revision: 'a', reason: 'requested' }, '2026-08-10T09:01:00Z'),
      sampleEvent({ revision: 'c' }, '2026-08-10T09:03:00Z'),
    );
    assert.equal(backlog.size, 1);
    const entry = backlog.take(any);
    assert.equal(entry?.event.data.revision, 'c');
    assert.equal(entry.event.data.reason, 'requested');
    assert.deepEqual(entry.messages, [3, 2, 1]);
    assert.equal(backlog.take(any), undefined);
  });

  it('keeps each image of an object apart: an older one is not done by the newer', () => {
    const [old, fresh] = ['ghcr.io/org/old', 'ghcr.io/org/new'];
    const backlog = backlogOf(sampleEvent({ image: old }), sampleEvent({ image: fresh }));
    assert.deepEqual(
      backlog.clear().map(({ event, messages }) => [event.data.image, ...messages]),
      [
        [old, 2],
        [fresh, 1],
      ],
    );
  });

  it('keeps each source apart: a uid is what its event says', () => {
    const genuine = sampleEvent();
    const other = { ...genuine, source: '//other/namespaces/n/x' };
    assert.equal(backlogOf(genuine, other).size, 2);
  });

  it('executes the genuine event, not one that claims to come from the year 9999', () => {
    const forged = sampleEvent({ revision: 'forged' }, '9999-01-01T00:00:00Z');
    const entry = backlogOf(forged, sampleEvent({ revision: 'genuine' })).take(any);
    assert.equal(entry?.event.data.revision, 'genuine');
    assert.deepEqual(entry.messages, [2, 1]);
  });

  it('compares what the service says that an event compares that says nothing', () => {
    for (const resyncVerify of ['mutable', 'all'] as const) {
      const backlog = new Backlog<number>(comparesBy({ verifyTags: 'mutable', resyncVerify }));
      backlog.add(sampleEvent({ reason: 'resync' }), 1, PUBLISHED_AT_MS);
      backlog.add(sampleEvent({ reason: 'requested', verify: 'none' }), 2, PUBLISHED_AT_MS);
      assert.equal(backlog.take(any)?.event.data.verify, resyncVerify);
    }
  });

  it('keeps every batch, and other objects apart', () => {
    const other = sampleEvent({ imageRepository: { namespace: 'n', name: 'x', uid: 'u-2' } });
    const batch = sampleEvent({ tags: ['a'] });
    const backlog = backlogOf(batch, batch, other);
    assert.equal(backlog.size, 3);
    assert.deepEqual(
      backlog.clear().flatMap(({ messages }) => messages),
      [1, 3, 2],
    );
    assert.equal(backlog.size, 0);
  });

  it('passes over what may not start', () => {
    const batch = sampleEvent({ tags: ['a'] });
    const backlog = backlogOf(sampleEvent(), batch, batch);
    const taken = [1, 2, 3].map(() => backlog.take(() => false)?.messages);
    assert.deepEqual(taken, [[2], [1], undefined]);
    assert.equal(backlog.size, 1);
  });
});
