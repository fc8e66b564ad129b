import type { MirrorError } from '../errors.ts';
import type { PlatformFields } from './platforms.ts';

/** What became of a tag. */
export const OUTCOMES = [
  'copied',
  'retagged',
  'overwritten',
  'skipped',
  'drifted',
  'lost',
  'held',
  'failed',
  'would-copy',
  'would-retag',
  'would-overwrite',
  'would-hold',
] as const;

/**
 * `copied` (was missing), `retagged` (the digest was there, the tag was not), `overwritten` (the
 * tag pointed at another digest), `skipped` (identical, or not asked by policy), `drifted`
 * (differs, and policy or immutability forbids moving it), `lost` (gone from the source), `held`
 * (over the brake), `failed`; the `would-…` ones are a dry run's.
 */
export type Outcome = (typeof OUTCOMES)[number];

/** Outcomes by which a tag came to be at the destination. */
export const MIRRORED: ReadonlySet<Outcome> = new Set<Outcome>([
  'copied',
  'retagged',
  'overwritten',
]);

/** How many tags had each outcome. */
export type OutcomeCounts = Readonly<Record<Outcome, number>>;

/** How many blobs of a tag came to the destination in which way. */
export interface BlobCounts {
  /** Sent by this tag; a transfer that several tags waited for counts for one of them. */
  readonly uploaded: number;
  /** Taken over from another repository of the destination's host. */
  readonly mounted: number;
  /** Found there. */
  readonly present: number;
}

/** No blobs at all: shared, so that thousands of skipped tags cost no memory. */
export const NO_BLOBS: BlobCounts = Object.freeze({ uploaded: 0, mounted: 0, present: 0 });

/** What happened to one tag, for one structured log line. */
export interface TagRecord extends PlatformFields {
  readonly tag: string;
  readonly outcome: Outcome;
  /** Why, as one of the names of `plan.ts`. */
  readonly reason: string;
  /** Digest at the source, where it was learnt. */
  readonly digest?: string;
  /** Digest that the tag had at the destination before, where it differs. */
  readonly previousDigest?: string;
  /** Tag that keeps the previous digest at the destination (`BACKUP_TAG`). */
  readonly backupTag?: string;
  /** Nothing keeps it there, although `BACKUP_TAG` is set: parts of it are missing. */
  readonly noBackup?: true;
  /** Digest of the manifest that this signature or list of referrers belongs to. */
  readonly subject?: string;
  /** Bytes sent to the destination for this tag. */
  readonly bytesUploaded: number;
  readonly blobs: BlobCounts;
  /** With `failed` always, with `drifted` where the destination refused. */
  readonly fault?: MirrorError;
  readonly durationMs: number;
}

/**
 * Why something of the source is not at the destination and nothing failed. `TagInvalid`: its name breaks
 * OCI's grammar; `SubjectUnchanged`: it follows an image that this event does not follow;
 * `SubjectNotMirrored`: its image is at the source and not here; `NotAsked`: there are too many to ask about;
 * `ReferrersRefused`: the source does not tell what refers to an image; `ReferrersTagRefused`: the
 * destination keeps no list of them; `ForeignLayers`: of a copied image, layers that lie at third parties' URLs.
 */
const LEFT_ASIDE = [
  'TagInvalid',
  'SubjectUnchanged',
  'SubjectNotMirrored',
  'NotAsked',
  'ReferrersRefused',
  'ReferrersTagRefused',
  'ForeignLayers',
  'BackupTag',
] as const;

/** See {@link LEFT_ASIDE}. */
export type LeftAsideReason = (typeof LEFT_ASIDE)[number];

/** The reason why a record's thing stays behind; undefined: it does not, or its outcome says so. */
export function leftAsideReason({
  outcome,
  reason,
}: Pick<TagRecord, 'outcome' | 'reason'>): LeftAsideReason | undefined {
  return outcome === 'skipped' ? LEFT_ASIDE.find((name) => name === reason) : undefined;
}

/** Whether a record asks for another delivery: its fault is a transient one. */
export function isUnfinished(record: Pick<TagRecord, 'outcome' | 'fault'>): boolean {
  return record.outcome === 'failed' && record.fault?.disposition === 'transient';
}
