import type { ErrorCode } from '../errors.ts';
import type { BrakeReport } from './brake.ts';
import type { HandOffReason } from './offload.ts';
import type { OutcomeCounts, TagRecord } from './outcome.ts';
import type { RecordKind, TagRecords } from './tag-records.ts';

/** The phases of mirroring a repository, in their order. */
export const PHASES = ['list', 'plan', 'delegate', 'copy', 'follow'] as const;

/** See {@link PHASES}. */
export type Phase = (typeof PHASES)[number];

/** How long a phase took. */
export interface PhaseTime {
  readonly phase: Phase;
  readonly durationMs: number;
}

/**
 * How the event ended: `finished` (whatever the single tags came to), `source-lost` (the source
 * repository answers 404), `handed-off` (a job does it), `fanned-out` (the first batch was copied
 * here, {@link MirrorReport.delegated} goes to others).
 */
export type Ending = 'finished' | 'source-lost' | 'handed-off' | 'fanned-out';

/** What became of a repository. */
export interface MirrorReport {
  /** `registry/repository`. */
  readonly source: string;
  readonly destination: string;
  readonly dryRun: boolean;
  readonly ending: Ending;
  readonly handOffReason?: HandOffReason;
  /**
   * The first 20 of each kind, in the order in which they were decided; an observer is told all.
   */
  readonly records: readonly TagRecord[];
  /** How many records there were of each kind. */
  readonly kinds: readonly RecordKind[];
  readonly counts: OutcomeCounts;
  /** Signatures and referrers among those that came to the destination. */
  readonly followers: number;
  /** Of the skipped: what is not at the destination, with a reason of `LEFT_ASIDE`. */
  readonly leftAside: number;
  /** Children of the tags' indexes that were left out for their platforms (`PLATFORMS`). */
  readonly platformsLeftOut: number;
  /** Tags that the source lists, and those of them that were selected or requested. */
  readonly sourceTagCount: number;
  /**
   * Why the source's list, which was to tell signatures, told nothing of tags that were asked for by name:
   * signatures by tag stay behind.
   */
  readonly sourceUnlisted?: ErrorCode | undefined;
  /** Why the destination's list told nothing: it was asked tag by tag. */
  readonly destinationUnlisted?: ErrorCode | undefined;
  readonly selectedTagCount: number;
  /** Tags that the destination had before. */
  readonly destinationTagCount: number;
  readonly brake: BrakeReport;
  /** Bytes and blobs that this event moved, those of tags handed off included. */
  readonly bytesUploaded: number;
  /** Bytes of blobs that were needed and not sent: there, mounted, or brought for another tag. */
  readonly bytesSaved: number;
  readonly blobsUploaded: number;
  readonly blobsMounted: number;
  readonly blobsPresent: number;
  /** Tags given to others by fan-out; where the ending is `handed-off`, all open ones. */
  readonly delegated: readonly string[];
  /** Tags given to the job because one of their blobs takes longer than a whole delivery. */
  readonly handedOff: readonly string[];
  /** Tags that failed transiently: what a continuation or a redelivery is for. */
  readonly unfinished: readonly string[];
  /** Whether unfinished tags are so because the delivery's time was over. */
  readonly interrupted: boolean;
  /** Tags and subjects that were asked about and settled by the answers. */
  readonly answered: number;
  /** Whether something lasting was done: a blob brought, a manifest pushed. */
  readonly progressed: boolean;
  readonly phases: readonly PhaseTime[];
}

/** What a report is drawn up from. */
export type ReportFacts = Omit<
  MirrorReport,
  | 'records'
  | 'kinds'
  | 'counts'
  | 'followers'
  | 'leftAside'
  | 'platformsLeftOut'
  | 'unfinished'
  | 'interrupted'
> & { readonly records: TagRecords };

/** Draws the conclusions from the records. */
export function buildReport({ records, ...facts }: ReportFacts): MirrorReport {
  const { first, kinds, counts, followers, leftAside, platformsLeftOut } = records;
  const { unfinished, interrupted } = records;
  return {
    ...facts,
    records: first,
    kinds,
    counts,
    followers,
    leftAside,
    platformsLeftOut,
    unfinished,
    interrupted,
  };
}

/** Which lists told nothing, and what comes of it; for lines that people read. */
export function unlistedWords({
  sourceUnlisted,
  destinationUnlisted,
}: Pick<MirrorReport, 'sourceUnlisted' | 'destinationUnlisted'>): readonly string[] {
  return [
    ...(sourceUnlisted ? [`no signatures by tag: the source's list is ${sourceUnlisted}`] : []),
    ...(destinationUnlisted
      ? [`asked tag by tag: the destination's list is ${destinationUnlisted}`]
      : []),
  ];
}
