import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { MirrorError } from '../../../functions/errors.ts';
import {
  type LeftAsideReason,
  NO_BLOBS,
  OUTCOMES,
  type TagRecord,
} from '../../../functions/mirror/outcome.ts';
import { KindCounts, TagRecords } from '../../../functions/mirror/tag-records.ts';

function record(more: Partial<TagRecord>): TagRecord {
  return {
    tag: 'v1',
    outcome: 'skipped',
    reason: 'Identical',
    bytesUploaded: 0,
    blobs: NO_BLOBS,
    durationMs: 0,
    ...more,
  };
}

const LEFT_ASIDE: readonly LeftAsideReason[] = [
  'TagInvalid',
  'SubjectUnchanged',
  'SubjectNotMirrored',
  'NotAsked',
  'ReferrersRefused',
  'ReferrersTagRefused',
  'ForeignLayers',
  'BackupTag',
];

describe('KindCounts', () => {
  it('tells records apart by outcome, reason and fault code', () => {
    const counts = new KindCounts();
    assert.equal(counts.add(record({})), 1);
    assert.equal(counts.add(record({ tag: 'v2' })), 2);
    assert.equal(counts.add(record({ reason: 'NotVerified' })), 1);
    assert.equal(counts.add(record({ outcome: 'held' })), 1);
    assert.equal(counts.add(record({ outcome: 'held', fault: new MirrorError('NETWORK', '') })), 1);
    assert.deepEqual(
      counts.kinds.map(({ count }) => count),
      [2, 1, 1, 1],
    );
  });
});

describe('TagRecords', () => {
  it('keeps the first 20 of a kind, and counts all', () => {
    const records = new TagRecords();
    for (let n = 0; n < 30; n += 1) records.add(record({ tag: `v${n}` }));
    for (let n = 0; n < 3; n += 1) records.add(record({ tag: `c${n}`, outcome: 'copied' }));
    assert.equal(records.first.length, 23);
    assert.equal(records.first[19]?.tag, 'v19');
    assert.equal(records.counts.skipped, 30);
    assert.equal(records.counts.copied, 3);
  });

  it('counts every outcome, those that did not occur as 0', () => {
    const { counts } = new TagRecords();
    assert.deepEqual(Object.keys(counts), [...OUTCOMES]);
    assert.ok(Object.values(counts).every((count) => count === 0));
  });

  it('names every tag that another delivery can finish', () => {
    const records = new TagRecords();
    const fault = new MirrorError('NETWORK', '');
    for (let n = 0; n < 30; n += 1) records.add(record({ tag: `v${n}`, outcome: 'failed', fault }));
    records.add(record({ outcome: 'failed', fault: new MirrorError('TAG_INVALID', '') }));
    assert.equal(records.unfinished.length, 30);
    assert.equal(records.interrupted, false);
    records.add(record({ outcome: 'failed', fault: new MirrorError('ABORTED', '') }));
    assert.equal(records.interrupted, true);
  });

  it('counts the signatures and referrers that came to the destination', () => {
    const records = new TagRecords();
    records.add(record({ outcome: 'copied', subject: 'sha256:x' }));
    records.add(record({ outcome: 'skipped', subject: 'sha256:x' }));
    records.add(record({ outcome: 'copied' }));
    assert.equal(records.followers, 1);
  });

  it('counts what is left aside', () => {
    const records = new TagRecords();
    for (const reason of [...LEFT_ASIDE, 'Identical'] as const) records.add(record({ reason }));
    assert.equal(records.leftAside, LEFT_ASIDE.length);
  });
});
