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

/** The tags that stay and those that go, the first batch staying. */
export function splitBatch(
  tags: readonly string[],
  batchTags: number,
): { readonly own: readonly string[]; readonly rest: readonly string[] } {
  if (batchTags === 0 || tags.length <= batchTags) return { own: tags, rest: [] };
  return { own: tags.slice(0, batchTags), rest: tags.slice(batchTags) };
}
