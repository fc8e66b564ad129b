import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { MirrorError, type ErrorCode } from '../../../functions/errors.ts';
import { NO_BLOBS, type TagRecord } from '../../../functions/mirror/outcome.ts';
import { buildReport } from '../../../functions/mirror/report.ts';
import { TagRecords } from '../../../functions/mirror/tag-records.ts';

function record(more: Partial<TagRecord>): TagRecord {
  return {
    tag: 'v1',
    outcome: 'copied',
    reason: 'Missing',
    bytesUploaded: 0,
    blobs: NO_BLOBS,
    durationMs: 0,
    ...more,
  };
}

function failed(tag: string, code: ErrorCode): TagRecord {
  return record({ tag, outcome: 'failed', fault: new MirrorError(code, '') });
}

function draw(records: readonly TagRecord[]): ReturnType<typeof buildReport> {
  const all = new TagRecords();
  for (const one of records) all.add(one);
  return buildReport({
    source: 's',
    destination: 'd',
    dryRun: false,
    ending: 'finished',
    records: all,
    sourceTagCount: 0,
    selectedTagCount: 0,
    destinationTagCount: 0,
    brake: { engaged: false, missing: 0, maxMissingTags: 0, held: 0 },
    delegated: [],
    handedOff: [],
    bytesUploaded: 0,
    blobsUploaded: 0,
    blobsMounted: 0,
    bytesSaved: 0,
    blobsPresent: 0,
    answered: 0,
    progressed: false,
    phases: [],
  });
}

describe('buildReport', () => {
  it('counts outcomes', () => {
    const { counts } = draw([record({}), record({}), failed('a', 'NETWORK')]);
    assert.equal(counts.copied, 2);
    assert.equal(counts.failed, 1);
  });

  it('names the tags that another delivery can finish', () => {
    const report = draw([failed('a', 'NETWORK'), failed('b', 'TAG_INVALID'), record({ tag: 'c' })]);
    assert.deepEqual(report.unfinished, ['a']);
    assert.equal(report.interrupted, false);
  });

  for (const code of ['ABORTED', 'DEADLINE_EXCEEDED'] as const) {
    it(`is interrupted where a tag ended with ${code}`, () => {
      const report = draw([failed('a', code), failed('b', 'NETWORK')]);
      assert.equal(report.interrupted, true);
      assert.deepEqual(report.unfinished, ['a', 'b']);
    });
  }
});
