import type { CopyContext } from './copy-manifest.ts';
import { missingBytes } from './missing-bytes.ts';
import type { WorkStep } from './work.ts';

/** Why work goes to a job that has no deadline of minutes. */
export type HandOffReason = 'EverythingHandedOff' | 'TooManyBytes' | 'BlobTooSlow';

/** Whether somebody else does it now. */
export type Taken = 'taken' | 'declined';

/**
 * Where work goes that is too much for one delivery. The decisions are made here, in this order:
 * brake, hand-off where the threshold is 0, fan-out, manifests, hand-off by bytes; the effects are
 * the implementer's. Work without a delegation (the job's own) stays where it is.
 */
export interface Delegation {
  /** Most distinct missing bytes that are copied here; 0 hands everything off, -1 nothing. */
  readonly jobThresholdBytes: number;
  /** Most tags that are copied here: the rest is fanned out. 0: no fan-out. */
  readonly batchTags: number;
  /**
   * Gives the event to a job, or only these of its tags (undefined: as the event is); `declined`:
   * it goes on here.
   */
  handOff(reason: HandOffReason, tags: readonly string[] | undefined): Promise<Taken>;
  /** Gives these tags to others, in batches; `declined`: they are copied here. */
  fanOut(tags: readonly string[]): Promise<Taken>;
}

/** Who does the work. */
export interface Share {
  readonly own: readonly WorkStep[];
  /** Tags that others do. */
  readonly delegated: readonly string[];
  /** Set where a job does everything that was left. */
  readonly handOffReason?: HandOffReason;
}

/**
 * Decides who does the work: everything goes to the job where the threshold is 0; all but the
 * first batch goes to others by their number alone, before any manifest is read; what is left goes
 * to the job where its distinct missing bytes exceed the threshold.
 */
export async function shareOut(
  work: readonly WorkStep[],
  delegation: Delegation | undefined,
  context: CopyContext,
  tagWorkers: number,
): Promise<Share> {
  if (delegation === undefined || work.length === 0) return { own: work, delegated: [] };
  const all = work.map(({ tag }) => tag);
  const { jobThresholdBytes } = delegation;
  if (jobThresholdBytes === 0 && (await taken(delegation, 'EverythingHandedOff'))) {
    return { own: [], delegated: all, handOffReason: 'EverythingHandedOff' };
  }
  const kept = await fanOut(all, delegation);
  const own = all.slice(0, kept);
  const delegated = all.slice(kept);
  if (jobThresholdBytes > 0) {
    const bytes = await missingBytes(own, jobThresholdBytes, context, tagWorkers);
    const onlyOwn = delegated.length > 0 ? own : undefined;
    if (bytes > jobThresholdBytes && (await taken(delegation, 'TooManyBytes', onlyOwn))) {
      return { own: [], delegated: all, handOffReason: 'TooManyBytes' };
    }
  }
  return { own: work.slice(0, kept), delegated };
}

/** @returns how many of the tags stay, from the first on */
async function fanOut(tags: readonly string[], delegation: Delegation): Promise<number> {
  const { batchTags } = delegation;
  if (batchTags === 0 || tags.length <= batchTags) return tags.length;
  const answer = await delegation.fanOut(tags.slice(batchTags));
  return answer === 'taken' ? batchTags : tags.length;
}

async function taken(
  delegation: Delegation,
  reason: HandOffReason,
  tags?: readonly string[],
): Promise<boolean> {
  return (await delegation.handOff(reason, tags)) === 'taken';
}
