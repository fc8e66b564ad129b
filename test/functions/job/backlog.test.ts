import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Backlog } from '../../../functions/job/backlog.ts';
import { sampleEvent } from '../subscriber/samples.ts';

const any = (): boolean => true;

describe('backlog', () => {
  it('keeps the newest event of an object, with the strongest reason, and all its messages', () => {
    const backlog = new Backlog<number>();
    backlog.add(sampleEvent({ revision: 'b' }, '2026-08-10T09:02:00Z'), 2);
    backlog.add(sampleEvent({ revision: 'a', reason: 'requested' }, '2026-08-10T09:01:00Z'), 1);
    backlog.add(sampleEvent({ revision: 'c' }, '2026-08-10T09:03:00Z'), 3);
    assert.equal(backlog.size, 1);
    const entry = backlog.take(any);
    assert.equal(entry?.event.data.revision, 'c');
    assert.equal(entry.event.data.reason, 'requested');
    assert.deepEqual(entry.messages, [2, 1, 3]);
    assert.equal(backlog.take(any), undefined);
  });

  it('keeps every batch, and other objects apart', () => {
    const backlog = new Backlog<number>();
    backlog.add(sampleEvent({ tags: ['a'] }), 1);
    backlog.add(sampleEvent({ tags: ['a'] }), 2);
    backlog.add(sampleEvent({ imageRepository: { namespace: 'n', name: 'x', uid: 'u-2' } }), 3);
    assert.equal(backlog.size, 3);
    assert.deepEqual(
      backlog.clear().flatMap(({ messages }) => messages),
      [3, 1, 2],
    );
    assert.equal(backlog.size, 0);
  });

  it('passes over what may not start', () => {
    const backlog = new Backlog<number>();
    backlog.add(sampleEvent(), 1);
    backlog.add(sampleEvent({ tags: ['a'] }), 2);
    assert.deepEqual(backlog.take(({ data }) => data.tags !== undefined)?.messages, [2]);
    assert.equal(
      backlog.take(() => false),
      undefined,
    );
    assert.equal(backlog.size, 1);
  });
});
