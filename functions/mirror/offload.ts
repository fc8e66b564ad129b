import type { CopyContext } from './copy-manifest.ts';
import type { WorkStep } from './resolve-plan.ts';
import { missingBytes } from './missing-bytes.ts';

/** Why work goes to a job that has no deadline of minutes. */
export type HandOffReason = 'EverythingHandedOff' | 'TooManyBytes' | 'BlobTooSlow';

/** Whether somebody else does it now. */
export type Taken = 'taken' | 'declined';

/**
 * Where work goes that is too much for one delivery. The decisions are made here, in this order:
 * brake, hand-off where the threshold is 0, manifests and bytes of the first batch, hand-off by
 * bytes, fan-out; the effects are the implementer's. Nothing is published before the last of them,
 * so that an event that fails here is whole when it comes again. Work without an offload (the
 * job's own) stays where it is.
 */
export interface Offload {
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
 * Decides who does the work: everything goes to the job where the threshold is 0, or where the
 * distinct missing bytes of the first batch alone exceed it; of what is left, all but the first
 * batch goes to others, by the number of tags.
 */
export async function shareOut(
  work: readonly WorkStep[],
  offload: Offload | undefined,
  context: CopyContext,
  tagWorkers: number,
): Promise<Share> {
  if (offload === undefined || work.length === 0) return { own: work, delegated: [] };
  const all = work.map(({ tag }) => tag);
  const { batchTags } = offload;
  const reason = await handOffReason(all, offload, context, tagWorkers);
  if (reason !== undefined && (await offload.handOff(reason, undefined)) === 'taken') {
    return { own: [], delegated: all, handOffReason: reason };
  }
  if (batchTags === 0 || all.length <= batchTags) return { own: work, delegated: [] };
  const others = all.slice(batchTags);
  if ((await offload.fanOut(others)) === 'declined') return { own: work, delegated: [] };
  return { own: work.slice(0, batchTags), delegated: others };
}

/** Why the job should do all of it; undefined: it need not. */
async function handOffReason(
  tags: readonly string[],
  { jobThresholdBytes, batchTags }: Offload,
  context: CopyContext,
  tagWorkers: number,
): Promise<HandOffReason | undefined> {
  if (jobThresholdBytes === 0) return 'EverythingHandedOff';
  if (jobThresholdBytes < 0) return undefined;
  const first = batchTags === 0 ? tags : tags.slice(0, batchTags);
  const bytes = await missingBytes(first, jobThresholdBytes, context, tagWorkers);
  return bytes > jobThresholdBytes ? 'TooManyBytes' : undefined;
}
