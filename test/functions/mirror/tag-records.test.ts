import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { MirrorError } from '../../../functions/errors.ts';
import { OUTCOMES } from '../../../functions/mirror/outcome.ts';
import { KindCounts, TagRecords } from '../../../functions/mirror/tag-records.ts';
import { failedRecord, LEFT_ASIDE, sampleRecord } from '../subscriber/samples.ts';

describe('KindCounts', () => {
  it('tells records apart by outcome, reason and fault code', () => {
    const counts = new KindCounts();
    const skipped = { outcome: 'skipped', reason: 'Identical' } as const;
    const fault = new MirrorError('NETWORK', '');
    for (const [record, count] of [
      [skipped, 1],
      [{ ...skipped, tag: 'v2' }, 2],
      [{ ...skipped, reason: 'NotVerified' }, 1],
      [{ ...skipped, outcome: 'held' }, 1],
      [{ ...skipped, outcome: 'held', fault }, 1],
    ] as const) {
      assert.equal(counts.add(sampleRecord(record)), count);
    }
    assert.deepEqual(
      counts.kinds.map(({ count }) => count),
      [2, 1, 1, 1],
    );
  });
});

describe('TagRecords', () => {
  it('keeps the first 20 of a kind, and counts all', () => {
    const records = new TagRecords();
    for (let n = 0; n < 30; n += 1) records.add(sampleRecord({ tag: `v${n}`, outcome: 'skipped' }));
    for (let n = 0; n < 3; n += 1) records.add(sampleRecord({ tag: `c${n}` }));
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
    for (let n = 0; n < 30; n += 1) records.add(failedRecord('NETWORK', `v${n}`));
    records.add(failedRecord('TAG_INVALID'));
    records.add(sampleRecord({ outcome: 'drifted', fault: new MirrorError('NETWORK', '') }));
    records.add(sampleRecord());
    assert.deepEqual(
      records.unfinished,
      Array.from({ length: 30 }, (_none, n) => `v${n}`),
    );
    assert.equal(records.interrupted, false);
  });

  for (const code of ['ABORTED', 'DEADLINE_EXCEEDED'] as const) {
    it(`is interrupted where a tag ended with ${code}`, () => {
      const records = new TagRecords();
      for (const record of [failedRecord(code, 'a'), failedRecord('NETWORK', 'b')])
        records.add(record);
      assert.equal(records.interrupted, true);
      assert.deepEqual(records.unfinished, ['a', 'b']);
    });
  }

  it('counts the signatures and referrers that came to the destination', () => {
    const records = new TagRecords();
    records.add(sampleRecord({ subject: 'sha256:x' }));
    records.add(sampleRecord({ outcome: 'skipped', subject: 'sha256:x' }));
    records.add(sampleRecord());
    assert.equal(records.followers, 1);
  });

  it('counts what is left aside', () => {
    const records = new TagRecords();
    for (const reason of [...LEFT_ASIDE, 'Identical'] as const) {
      records.add(sampleRecord({ outcome: 'skipped', reason }));
    }
    assert.equal(records.leftAside, LEFT_ASIDE.length);
  });
});
