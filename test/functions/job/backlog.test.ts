import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Backlog } from '../../../functions/job/backlog.ts';
import { comparesBy } from '../../../functions/mirror/verification.ts';
import { sampleEvent } from '../subscriber/samples.ts';
import { PUBLISHED_AT_MS } from './messages.ts';
import { MIRROR_OPTIONS } from '../../mirror-options.ts';

const any = (): boolean => true;

describe('backlog', () => {
  it('keeps the newest event of an object, with the strongest reason, and all its messages', () => {
    const backlog = new Backlog<number>(comparesBy(MIRROR_OPTIONS));
    backlog.add(sampleEvent({ revision: 'b' }, '2026-08-10T09:02:00Z'), 2, PUBLISHED_AT_MS);
    backlog.add(
      sampleEvent({ revision: 'a', reason: 'requested' }, '2026-08-10T09:01:00Z'),
      1,
      PUBLISHED_AT_MS,
    );
    backlog.add(sampleEvent({ revision: 'c' }, '2026-08-10T09:03:00Z'), 3, PUBLISHED_AT_MS);
    assert.equal(backlog.size, 1);
    const entry = backlog.take(any);
    assert.equal(entry?.event.data.revision, 'c');
    assert.equal(entry.event.data.reason, 'requested');
    assert.deepEqual(entry.messages, [2, 1, 3]);
    assert.equal(backlog.take(any), undefined);
  });

  it('keeps each image of an object apart: an older one is not done by the newer', () => {
    const backlog = new Backlog<number>(comparesBy(MIRROR_OPTIONS));
    backlog.add(sampleEvent({ image: 'ghcr.io/org/old' }), 1, PUBLISHED_AT_MS);
    backlog.add(sampleEvent({ image: 'ghcr.io/org/new' }), 2, PUBLISHED_AT_MS);
    assert.deepEqual(
      backlog.clear().map(({ event, messages }) => [event.data.image, ...messages]),
      [
        ['ghcr.io/org/old', 1],
        ['ghcr.io/org/new', 2],
      ],
    );
  });

  it('keeps each source apart: a uid is what its event says', () => {
    const backlog = new Backlog<number>(comparesBy(MIRROR_OPTIONS));
    const genuine = sampleEvent();
    backlog.add(genuine, 1, PUBLISHED_AT_MS);
    backlog.add({ ...genuine, source: '//other/namespaces/n/x' }, 2, PUBLISHED_AT_MS);
    assert.equal(backlog.size, 2);
  });

  it('executes the genuine event, not one that claims to come from the year 9999', () => {
    const backlog = new Backlog<number>(comparesBy(MIRROR_OPTIONS));
    backlog.add(sampleEvent({ revision: 'forged' }, '9999-01-01T00:00:00Z'), 1, PUBLISHED_AT_MS);
    backlog.add(sampleEvent({ revision: 'genuine' }), 2, PUBLISHED_AT_MS);
    const entry = backlog.take(any);
    assert.equal(entry?.event.data.revision, 'genuine');
    assert.deepEqual(entry.messages, [1, 2]);
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
    const backlog = new Backlog<number>(comparesBy(MIRROR_OPTIONS));
    backlog.add(sampleEvent({ tags: ['a'] }), 1, PUBLISHED_AT_MS);
    backlog.add(sampleEvent({ tags: ['a'] }), 2, PUBLISHED_AT_MS);
    backlog.add(
      sampleEvent({ imageRepository: { namespace: 'n', name: 'x', uid: 'u-2' } }),
      3,
      PUBLISHED_AT_MS,
    );
    assert.equal(backlog.size, 3);
    assert.deepEqual(
      backlog.clear().flatMap(({ messages }) => messages),
      [3, 1, 2],
    );
    assert.equal(backlog.size, 0);
  });

  it('passes over what may not start', () => {
    const backlog = new Backlog<number>(comparesBy(MIRROR_OPTIONS));
    backlog.add(sampleEvent(), 1, PUBLISHED_AT_MS);
    for (const n of [2, 3]) backlog.add(sampleEvent({ tags: ['a'] }), n, PUBLISHED_AT_MS);
    const taken = [1, 2, 3].map(() => backlog.take(() => false)?.messages);
    assert.deepEqual(taken, [[2], [3], undefined]);
    assert.equal(backlog.size, 1);
  });
});
