import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { MirrorError } from '../../../functions/errors.ts';
import type { DecidedStep } from '../../../functions/mirror/resolve-plan.ts';
import type { Outcome } from '../../../functions/mirror/outcome.ts';
import {
  backupRecord,
  failedRecord,
  followerRecord,
  leftAsideRecord,
  tagRecord,
  untouchedRecord,
} from '../../../functions/mirror/record.ts';
import { TransferStats } from '../../../functions/mirror/transfer-stats.ts';

const tag = 'v1';
const [digest, previousDigest] = ['sha256:new', 'sha256:old'];

/** What every record says where nothing was moved. */
const NOTHING = {
  ...{ tag, bytesUploaded: 0, durationMs: 0 },
  blobs: { uploaded: 0, mounted: 0, present: 0 },
};

const STEPS: readonly (readonly [DecidedStep, Outcome, Outcome])[] = [
  [{ tag, action: 'copy', reason: 'Missing' }, 'would-copy', 'would-copy'],
  [{ tag, action: 'retag', reason: 'DigestPresent', digest }, 'would-retag', 'would-retag'],
  [
    { tag, action: 'overwrite', reason: 'Moved', digest, previousDigest },
    'would-overwrite',
    'would-overwrite',
  ],
  [{ tag, action: 'skip', reason: 'Identical', digest }, 'skipped', 'skipped'],
  [
    { tag, action: 'drifted', reason: 'DriftReported', digest, previousDigest },
    'drifted',
    'drifted',
  ],
  [{ tag, action: 'lost', reason: 'GoneFromSource' }, 'lost', 'lost'],
  [{ tag, action: 'hold', reason: 'BrakeEngaged' }, 'held', 'would-hold'],
  [{ tag, action: 'refuse', reason: 'TagInvalid' }, 'failed', 'failed'],
  [{ tag, action: 'fail', fault: new MirrorError('NETWORK', '') }, 'failed', 'failed'],
];

describe('untouchedRecord', () => {
  for (const [step, outcome, dryOutcome] of STEPS) {
    it(`calls the step ${step.action} ${outcome}, in a dry run ${dryOutcome}`, () => {
      assert.equal(untouchedRecord(step, false).outcome, outcome);
      assert.equal(untouchedRecord(step, true).outcome, dryOutcome);
      const hasFault = step.action === 'refuse' || step.action === 'fail';
      assert.equal('fault' in untouchedRecord(step, false), hasFault);
    });
  }

  it('tells the digests that are known', () => {
    const step = {
      tag,
      action: 'drifted',
      reason: 'DriftReported',
      digest,
      previousDigest,
    } as const;
    const record = untouchedRecord(step, false);
    assert.equal(record.digest, digest);
    assert.equal(record.previousDigest, previousDigest);
    assert.equal(record.reason, 'DriftReported');
  });

  it('tells what a look at the platforms found, and nothing of it otherwise', () => {
    const step = { tag, action: 'skip', reason: 'Identical' } as const;
    const none = untouchedRecord(step, false);
    const found = untouchedRecord({ ...step, platformsLeftOut: 2, noPlatformMatched: true }, false);
    assert.deepEqual(found, { ...none, platformsLeftOut: 2, noPlatformMatched: true });
    assert.deepEqual(none, { ...NOTHING, outcome: 'skipped', reason: 'Identical' });
  });

  it('gives a refused tag a code', () => {
    const refused = untouchedRecord({ tag, action: 'refuse', reason: 'TagInvalid' }, false);
    assert.equal(refused.fault?.code, 'TAG_INVALID');
    const failure = new MirrorError('NETWORK', '');
    const failing = untouchedRecord({ tag, action: 'fail', fault: failure }, false);
    assert.deepEqual(failing, { ...NOTHING, outcome: 'failed', reason: 'NETWORK', fault: failure });
  });
});

describe('records of work', () => {
  const stats = new TransferStats();
  stats.blob({ arrival: 'uploaded', bytesUploaded: 7 }, 20);

  it('tell what was moved', () => {
    const record = tagRecord(
      tag,
      { outcome: 'overwritten', reason: 'Moved', digest, previousDigest },
      stats,
      12,
    );
    assert.deepEqual(record, {
      tag,
      outcome: 'overwritten',
      reason: 'Moved',
      digest,
      previousDigest,
      bytesUploaded: 7,
      blobs: { uploaded: 1, mounted: 0, present: 0 },
      durationMs: 12,
    });
  });

  it('tell why a tag failed, and what was moved all the same', () => {
    const fault = new MirrorError('SOURCE_INCOMPLETE', '');
    const record = failedRecord(tag, fault, stats, 12);
    assert.equal(record.reason, 'SOURCE_INCOMPLETE');
    assert.equal(record.fault, fault);
    assert.equal(record.bytesUploaded, 7);
  });

  it('tell whose signature it is', () => {
    const follower = { tag, subject: digest, stats, startedAtMs: 5 };
    const copied = followerRecord(
      { ...follower, ending: { outcome: 'copied', reason: 'Missing' } },
      9,
    );
    assert.equal(copied.subject, digest);
    assert.equal(copied.durationMs, 4);
    const fault = new MirrorError('NETWORK', '');
    const failing = followerRecord({ ...follower, ending: { outcome: 'failed', fault } }, 9);
    assert.equal(failing.outcome, 'failed');
    assert.equal(failing.fault, fault);
    assert.equal(failing.subject, digest);
  });

  it('tell nothing of what there is none of', () => {
    const copied = { outcome: 'copied', reason: 'Missing' } as const;
    assert.deepEqual(tagRecord(tag, copied, new TransferStats(), 0), { ...NOTHING, ...copied });
    const fault = new MirrorError('NETWORK', '');
    const failed = { outcome: 'failed', reason: 'NETWORK', fault } as const;
    assert.deepEqual(failedRecord(tag, fault), { ...NOTHING, ...failed });
    const backup = { outcome: 'skipped', reason: 'BackupTag' } as const;
    assert.deepEqual(backupRecord(tag), { ...NOTHING, ...backup });
    const aside = { tag, reason: 'SubjectUnchanged' } as const;
    assert.deepEqual(leftAsideRecord(aside), {
      ...{ ...NOTHING, ...aside, outcome: 'skipped' },
    });
    assert.equal(leftAsideRecord({ ...aside, subject: digest }).subject, digest);
  });
});
