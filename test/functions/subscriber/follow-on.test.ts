import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { decodeEvent, encodeEvent, receivedEvent } from '../../../functions/contract/codec.ts';
import { TAGS_REQUESTED } from '../../../functions/contract/event.ts';
import { batchesOf, continuationOf } from '../../../functions/subscriber/follow-on.ts';
import { sampleEvent } from './samples.ts';

describe('continuation', () => {
  it('is the same event with the next number and another id', () => {
    const event = { ...sampleEvent({ continuation: 3, reason: 'resync' }), source: '//c/x/y' };
    const next = continuationOf(event);
    assert.notEqual(next.id, event.id);
    assert.deepEqual(next, { ...event, id: next.id, data: { ...event.data, continuation: 4 } });
    assert.equal(continuationOf(sampleEvent()).data.continuation, 1);
  });
});

describe('batches', () => {
  const event = sampleEvent({
    selection: { semver: '>=1' },
    continuation: 2,
    exclusionList: ['x'],
  });
  const tags = Array.from({ length: 250 }, (_, n) => `1.0.${n}`);

  it('part the tags in their order, each at most so long', () => {
    const batches = batchesOf(event, tags, 100);
    assert.deepEqual(
      batches.map(({ data }) => data.tags?.length),
      [100, 100, 50],
    );
    assert.deepEqual(
      batches.flatMap(({ data }) => data.tags),
      tags,
    );
    assert.equal(new Set(batches.map(({ id }) => id)).size, 3);
  });

  it('ask for exactly these tags: what selected them stays behind', () => {
    const [batch] = batchesOf(event, tags.slice(0, 1), 100);
    assert.equal(batch?.type, TAGS_REQUESTED);
    assert.equal(batch.time, event.time);
    assert.equal(batch.data.reason, 'changed');
    assert.deepEqual(batch.data.exclusionList, []);
    assert.equal(batch.data.selection, undefined);
    assert.equal(batch.data.continuation, undefined);
    assert.deepEqual(decodeEvent(receivedEvent(encodeEvent(batch))), batch);
  });

  it('are none of no tags', () => {
    assert.deepEqual(batchesOf(event, [], 100), []);
  });
});
