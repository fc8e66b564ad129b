import { defined } from '../contract/fields.ts';
import type { MirrorError, ErrorCode } from '../errors.ts';
import {
  OUTCOMES,
  type BlobCounts,
  type OutcomeCounts,
  type TagRecord,
} from '../mirror/outcome.ts';
import type { MirrorReport } from '../mirror/report.ts';
import { faultFields, type ErrorFields } from '../telemetry/error-fields.ts';

/** Version and kind of the document; a change that breaks its readers is a new version. */
export const REPORT_API_VERSION = 'imagerepo-mirror.io/v1';

/** What came of one image. */
export interface RepositoryResult {
  /** Canonical image name. */
  readonly image: string;
  readonly durationMs: number;
  /** Absent where nothing could be planned. */
  readonly report?: MirrorReport;
  /** Every tag's record, for a document that lists them. */
  readonly records?: readonly TagRecord[];
  /** Why nothing could be planned. */
  readonly fault?: MirrorError;
}

/** What came of one run. */
export interface RunResult {
  readonly startedAt: Date;
  readonly finishedAt: Date;
  readonly dryRun: boolean;
  readonly destinationRegistry: string;
  readonly repositories: readonly RepositoryResult[];
}

/** The document of `-o json`; `report.schema.json` describes it. */
export interface ReportDocument {
  readonly apiVersion: typeof REPORT_API_VERSION;
  readonly kind: 'MirrorReport';
  readonly startedAt: string;
  readonly finishedAt: string;
  readonly dryRun: boolean;
  readonly destinationRegistry: string;
  readonly repositories: readonly RepositoryDocument[];
  readonly summary: {
    readonly repositories: number;
    readonly failedRepositories: number;
    readonly counts: OutcomeCounts;
    readonly leftAside: number;
    readonly bytesUploaded: number;
    readonly platformsLeftOut?: number;
    readonly durationSeconds: number;
  };
}

interface RepositoryDocument {
  readonly image: string;
  readonly destination?: string;
  readonly ending?: MirrorReport['ending'];
  readonly sourceTags?: number;
  readonly sourceUnlisted?: ErrorCode;
  readonly destinationUnlisted?: ErrorCode;
  readonly selectedTags?: number;
  readonly counts?: OutcomeCounts;
  readonly leftAside?: number;
  readonly bytesUploaded?: number;
  readonly platformsLeftOut?: number;
  readonly blobs?: BlobCounts;
  readonly tags?: readonly TagDocument[];
  readonly error?: ErrorFields;
  readonly durationSeconds: number;
}

interface TagDocument {
  readonly tag: string;
  readonly outcome: string;
  readonly reason: string;
  readonly digest?: string;
  readonly previousDigest?: string;
  readonly backupTag?: string;
  readonly platformsLeftOut?: number;
  readonly noPlatformMatched?: true;
  readonly subject?: string;
  readonly bytesUploaded: number;
  readonly durationSeconds: number;
  readonly error?: ErrorFields;
}

/** Draws up the document of a run. */
export function reportDocument(run: RunResult): ReportDocument {
  const { repositories } = run;
  return {
    apiVersion: REPORT_API_VERSION,
    kind: 'MirrorReport',
    startedAt: run.startedAt.toISOString(),
    finishedAt: run.finishedAt.toISOString(),
    dryRun: run.dryRun,
    destinationRegistry: run.destinationRegistry,
    repositories: repositories.map(repositoryDocument),
    summary: {
      repositories: repositories.length,
      failedRepositories: repositories.filter(isFailed).length,
      counts: totalCounts(repositories),
      leftAside: repositories.reduce((sum, { report }) => sum + (report?.leftAside ?? 0), 0),
      bytesUploaded: repositories.reduce(
        (sum, { report }) => sum + (report?.bytesUploaded ?? 0),
        0,
      ),
      ...defined({ platformsLeftOut: totalPlatformsLeftOut(repositories) || undefined }),
      durationSeconds: seconds(run.finishedAt.getTime() - run.startedAt.getTime()),
    },
  };
}

/**
 * Whether a run ends with exit code 1 because of this repository: it or a tag of it failed, it is
 * not at the source, or a tag that was asked for by name is not.
 */
export function isFailed({ report, fault }: RepositoryResult): boolean {
  if (fault !== undefined || report === undefined) return true;
  return report.ending === 'source-lost' || report.counts.failed > 0;
}

/** Children of indexes that all repositories together left out for their platforms. */
export function totalPlatformsLeftOut(repositories: readonly RepositoryResult[]): number {
  return repositories.reduce((sum, { report }) => sum + (report?.platformsLeftOut ?? 0), 0);
}

/** Outcomes of all repositories together. */
export function totalCounts(repositories: readonly RepositoryResult[]): OutcomeCounts {
  return Object.fromEntries(
    OUTCOMES.map((outcome) => [
      outcome,
      repositories.reduce((sum, { report }) => sum + (report?.counts[outcome] ?? 0), 0),
    ]),
  ) as OutcomeCounts;
}

function repositoryDocument(result: RepositoryResult): RepositoryDocument {
  const { image, report, records = report?.records ?? [], fault, durationMs } = result;
  return defined({
    image,
    ...(report && {
      destination: report.destination,
      ending: report.ending,
      sourceTags: report.sourceTagCount,
      sourceUnlisted: report.sourceUnlisted,
      destinationUnlisted: report.destinationUnlisted,
      selectedTags: report.selectedTagCount,
      counts: report.counts,
      leftAside: report.leftAside,
      bytesUploaded: report.bytesUploaded,
      platformsLeftOut: report.platformsLeftOut || undefined,
      blobs: {
        uploaded: report.blobsUploaded,
        mounted: report.blobsMounted,
        present: report.blobsPresent,
      },
      tags: records.map(tagDocument),
    }),
    error: fault && faultFields(fault),
    durationSeconds: seconds(durationMs),
  });
}

function tagDocument(record: TagRecord): TagDocument {
  const { tag, outcome, reason, digest, previousDigest, backupTag, subject, fault } = record;
  const { platformsLeftOut, noPlatformMatched } = record;
  return defined({
    tag,
    outcome,
    reason,
    digest,
    previousDigest,
    backupTag,
    platformsLeftOut,
    noPlatformMatched,
    subject,
    bytesUploaded: record.bytesUploaded,
    durationSeconds: seconds(record.durationMs),
    error: fault && faultFields(fault),
  });
}

function seconds(ms: number): number {
  return Math.round(ms) / 1000;
}
