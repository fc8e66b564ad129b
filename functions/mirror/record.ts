import { defined } from '../contract/fields.ts';
import { MirrorError } from '../errors.ts';
import type { TagEnding } from './copy-tag.ts';
import type { DecidedStep } from './resolve-plan.ts';
import { NO_BLOBS, type LeftAsideReason, type Outcome, type TagRecord } from './outcome.ts';
import type { PlatformFields } from './platforms.ts';
import type { Follower } from './referrers.ts';
import { TransferStats } from './transfer-stats.ts';

/** Something that stays behind, and why. */
export interface LeftAside {
  readonly tag: string;
  /** Digest of what it belongs to, where it belongs to anything. */
  readonly subject?: string;
  /**
   * The operator does not want it: `ReferrersOff`; `PlatformLeftOut`: nothing here is known to have its
   * subject's digest, and other platforms are left out (`PLATFORMS`).
   */
  readonly reason: LeftAsideReason | 'ReferrersOff' | 'PlatformLeftOut';
}

const OUTCOME_OF_STEP = {
  skip: 'skipped',
  drifted: 'drifted',
  lost: 'lost',
  hold: 'held',
  refuse: 'failed',
  fail: 'failed',
} as const;

const DRY_OUTCOMES = {
  copy: 'would-copy',
  retag: 'would-retag',
  overwrite: 'would-overwrite',
  complete: 'would-copy',
  hold: 'would-hold',
} as const;

/** Record of a tag that is left as it is; in a dry run, of every tag. */
export function untouchedRecord(step: DecidedStep, dryRun: boolean): TagRecord {
  const fault = faultOf(step);
  return {
    tag: step.tag,
    outcome: outcomeOf(step, dryRun),
    reason: 'reason' in step ? step.reason : step.fault.code,
    ...('digest' in step ? { digest: step.digest } : {}),
    ...('previousDigest' in step ? { previousDigest: step.previousDigest } : {}),
    ...(step.action === 'fail' ? {} : platformsOfStep(step)),
    ...defined({ fault }),
    bytesUploaded: 0,
    blobs: NO_BLOBS,
    durationMs: 0,
  };
}

function platformsOfStep({ platformsLeftOut, noPlatformMatched }: PlatformFields): PlatformFields {
  return defined({ platformsLeftOut, noPlatformMatched });
}

function outcomeOf(step: DecidedStep, dryRun: boolean): Outcome {
  switch (step.action) {
    case 'copy':
    case 'retag':
    case 'overwrite':
    case 'complete':
      return DRY_OUTCOMES[step.action];
    case 'hold':
      return dryRun ? 'would-hold' : 'held';
    default:
      return OUTCOME_OF_STEP[step.action];
  }
}

function faultOf(step: DecidedStep): MirrorError | undefined {
  if (step.action === 'fail') return step.fault;
  if (step.action !== 'refuse') return undefined;
  return new MirrorError('TAG_INVALID', 'the tag breaks the grammar', { operation: 'plan tag' });
}

/** Record of a tag that was worked on. */
export function tagRecord(
  tag: string,
  ending: TagEnding,
  stats: TransferStats,
  durationMs: number,
): TagRecord {
  const { outcome, reason, digest, previousDigest, backupTag, noBackup, fault } = ending;
  return {
    tag,
    outcome,
    reason,
    ...defined({ digest, previousDigest, backupTag, noBackup, fault }),
    bytesUploaded: stats.bytesUploaded,
    blobs: stats.blobs,
    durationMs,
  };
}

/** Record of a tag whose work failed; of one that was not begun without the last two. */
export function failedRecord(
  tag: string,
  fault: MirrorError,
  stats = new TransferStats(),
  durationMs = 0,
): TagRecord {
  return {
    tag,
    outcome: 'failed',
    reason: fault.code,
    fault,
    bytesUploaded: stats.bytesUploaded,
    blobs: stats.blobs,
    durationMs,
  };
}

/** Record of a signature tag or a list of referrers. */
export function followerRecord(follower: Follower, nowMs: number): TagRecord {
  const { tag, subject, ending, stats, startedAtMs } = follower;
  const durationMs = nowMs - startedAtMs;
  const record =
    ending.outcome === 'failed'
      ? failedRecord(tag, ending.fault, stats, durationMs)
      : tagRecord(tag, ending, stats, durationMs);
  return { ...record, subject };
}

/** Record of a backup of the source, which stays behind. */
export function backupRecord(tag: string): TagRecord {
  return {
    tag,
    outcome: 'skipped',
    reason: 'BackupTag',
    bytesUploaded: 0,
    blobs: NO_BLOBS,
    durationMs: 0,
  };
}

/** Record of a tag that stays behind. */
export function leftAsideRecord({ tag, subject, reason }: LeftAside): TagRecord {
  return {
    tag,
    outcome: 'skipped',
    reason,
    ...defined({ subject }),
    bytesUploaded: 0,
    blobs: NO_BLOBS,
    durationMs: 0,
  };
}
