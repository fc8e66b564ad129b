import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { decodeEvent, encodeEvent, receivedEvent } from '../../../functions/contract/codec.ts';
import { TAGS_REQUESTED } from '../../../functions/contract/event.ts';
import { batchesOf, continuationsOf } from '../../../functions/subscriber/derived-events.ts';
import { sampleEvent } from './samples.ts';

describe('continuation', () => {
  it('asks for exactly what is left, with the next number and another id', () => {
    const data = { continuation: 3, reason: 'resync', selection: { semver: '>=1' } } as const;
    const event = { ...sampleEvent({ ...data, exclusionList: ['x'] }), source: '//c/x/y' };
    const left = ['1.0', 'sha256-0.sig', '2.0'];
    const next = continuationsOf(event, left, 2);
    assert.deepEqual(
      next.map((one) => [one.type, one.data.tags, one.data.continuation, one.data.reason]),
      [
        [TAGS_REQUESTED, ['1.0', 'sha256-0.sig'], 4, 'resync'],
        [TAGS_REQUESTED, ['2.0'], 4, 'resync'],
      ],
    );
    for (const { data: given, source, time } of next) {
      assert.deepEqual([given.selection, given.exclusionList], [undefined, []]);
      assert.deepEqual([source, time], [event.source, event.time]);
    }
    assert.equal(new Set([event, ...next].map(({ id }) => id)).size, 3);
    assert.equal(continuationsOf(sampleEvent(), ['1.0'], 2)[0]?.data.continuation, 1);
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
