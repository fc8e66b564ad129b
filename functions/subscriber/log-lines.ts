import type { MirrorEvent } from '../contract/event.ts';
import type { Heartbeat } from '../contract/heartbeat.ts';
import { ERRORS, type MirrorError, type ErrorCode } from '../errors.ts';
import { leftAsideReason, MIRRORED, type Outcome, type TagRecord } from '../mirror/outcome.ts';
import { unlistedWords, type MirrorReport } from '../mirror/report.ts';
import { FIRST_OF_A_KIND, KindCounts, type RecordKind } from '../mirror/tag-records.ts';
import type { LogFields, Logger } from '../telemetry/logger.ts';
import type { Severity } from '../telemetry/severity.ts';
import type { Decision } from './decision.ts';

/** How loud an outcome is. `skipped` is the everyday case of thousands of tags. */
const SEVERITY: Readonly<Record<Outcome, Severity>> = {
  copied: 'INFO',
  retagged: 'INFO',
  overwritten: 'NOTICE',
  skipped: 'DEBUG',
  drifted: 'WARNING',
  lost: 'NOTICE',
  held: 'INFO',
  failed: 'ERROR',
  'would-copy': 'INFO',
  'would-retag': 'INFO',
  'would-overwrite': 'INFO',
  'would-hold': 'INFO',
};

/** Fields that every line about an event has. */
export function eventFields({ id, type, data }: MirrorEvent): LogFields {
  return {
    image: data.image,
    namespace: data.imageRepository.namespace,
    name: data.imageRepository.name,
    revision: data.revision,
    reason: data.reason,
    eventId: id,
    eventType: type,
    continuation: data.continuation,
  };
}

/**
 * The lines of one event's tags (entry `tag`). A tag that was mirrored has a line always; of every
 * other kind (outcome, reason, fault code) the first 20 have one, and {@link TagLines.end} tells how
 * many there were.
 */
export class TagLines {
  readonly #logger: Logger;
  readonly #image: string;
  readonly #counts = new KindCounts();

  constructor(logger: Logger, image: string) {
    this.#logger = logger;
    this.#image = image;
  }

  /** Writes the line of a tag, or counts it. */
  write(record: TagRecord): void {
    const count = this.#counts.add(record);
    if (count <= FIRST_OF_A_KIND || MIRRORED.has(record.outcome)) this.#line(record);
  }

  /** Tells what was left out, one line a kind (entry `tag-kind`). */
  end(): void {
    for (const kind of this.#counts.kinds) {
      const { outcome, reason, code, count } = kind;
      if (count <= FIRST_OF_A_KIND || MIRRORED.has(outcome)) continue;
      this.#logger.log(
        severityOfRecord(kind, code),
        `${outcome} ${count} tags of ${this.#image} (${reason}), ${FIRST_OF_A_KIND} of them told`,
        {
          entry: 'tag-kind',
          outcome,
          outcomeReason: reason,
          code,
          count,
          told: FIRST_OF_A_KIND,
          // What the metrics of single tags lack; they count no skipped ones.
          untold: outcome === 'skipped' ? undefined : count - FIRST_OF_A_KIND,
        },
      );
    }
  }

  #line(record: TagRecord): void {
    const { tag, outcome, fault } = record;
    const without = record.noBackup === true ? ' without a backup' : '';
    const message = `${outcome} ${this.#image}:${tag}${without}`;
    this.#logger.log(severityOfRecord(record, fault?.code), message, {
      entry: 'tag',
      tag,
      outcome,
      outcomeReason: record.reason,
      digest: record.digest,
      previousDigest: record.previousDigest,
      backupTag: record.backupTag,
      noBackup: record.noBackup,
      platformsLeftOut: record.platformsLeftOut,
      noPlatformMatched: record.noPlatformMatched,
      subject: record.subject,
      code: fault?.code ?? (outcome === 'lost' ? ('NOT_FOUND' satisfies ErrorCode) : undefined),
      error: fault,
      bytesUploaded: record.bytesUploaded,
      durationSeconds: seconds(record.durationMs),
    });
  }
}

/** Every outcome but `skipped` is written at the usual level, and of that what is left aside. */
function severityOfRecord(
  record: Pick<TagRecord, 'outcome' | 'reason'>,
  code: RecordKind['code'],
): Severity {
  const { outcome } = record;
  if (leftAsideReason(record) !== undefined) return 'NOTICE';
  const transient = code !== undefined && ERRORS[code].disposition === 'transient';
  return outcome === 'failed' && transient ? 'WARNING' : SEVERITY[outcome];
}

/** The line of a bridge's sign of life (entry `heartbeat`). */
export function logHeartbeat(logger: Logger, { cluster, watched, refused }: Heartbeat): void {
  logger.info(`the bridge of ${cluster} publishes`, {
    entry: 'heartbeat',
    cluster,
    watched,
    refused,
  });
}

/** The line of a host for which `PLATFORMS` leaves nothing out (entry `whole-indexes`). */
export function logWholeIndexes(logger: Logger, host: string): void {
  const words = `${host} takes no index without all its platforms: from now on all are brought, whatever PLATFORMS says`;
  logger.log('NOTICE', words, { entry: 'whole-indexes', host });
}

/** What the line of an event is written from. */
export interface EventOutcome {
  readonly decision: Decision;
  /** Absent where the work could not begin. */
  readonly report?: MirrorReport;
  readonly fault?: MirrorError;
  /** Another delivery's execution brought this one's result. */
  readonly shared: boolean;
  readonly durationMs: number;
  /** Milliseconds since 1970. */
  readonly nowMs: number;
}

/** The line of one delivery (entry `event`), with what log-based metrics extract. */
export function logEvent(logger: Logger, event: MirrorEvent, outcome: EventOutcome): void {
  const { decision, report, fault, durationMs } = outcome;
  const cause = decision.action === 'dead-letter' ? decision.fault : fault;
  // Another's work is counted in that one's line.
  const own = outcome.shared ? undefined : report;
  logger.log(severityOf(outcome), messageOf(event, outcome), {
    entry: 'event',
    decision: decision.action,
    decisionReason: decision.reason,
    shared: outcome.shared || undefined,
    ...(own && sourceLost(event, own)),
    ...(cause && { code: cause.code, error: cause }),
    durationSeconds: seconds(durationMs),
    ...(own && reportFields(own)),
    ...(own && lag(event, own, outcome.nowMs)),
  });
}

function reportFields(report: MirrorReport): LogFields {
  const counts = Object.fromEntries(
    Object.entries(report.counts).filter(([name, count]) => count > 0 || name === 'skipped'),
  );
  return {
    ...counts,
    ending: report.ending,
    handOffReason: report.handOffReason,
    destination: report.destination,
    sourceTags: report.sourceTagCount,
    sourceUnlisted: report.sourceUnlisted,
    destinationUnlisted: report.destinationUnlisted,
    selectedTags: report.selectedTagCount,
    destinationTags: report.destinationTagCount + report.counts.copied + report.counts.retagged,
    bytesUploaded: report.bytesUploaded,
    bytesSaved: report.bytesSaved,
    blobsUploaded: report.blobsUploaded,
    blobsMounted: report.blobsMounted,
    blobsPresent: report.blobsPresent,
    // Zero is told by their absence.
    platformsLeftOut: report.platformsLeftOut || undefined,
    delegatedTags: report.delegated.length || undefined,
    leftAside: report.leftAside || undefined,
    unfinishedTags: report.unfinished.length || undefined,
    ...(report.brake.engaged && {
      brakeMissing: report.brake.missing,
      maxMissingTags: report.brake.maxMissingTags,
    }),
    phases: Object.fromEntries(
      report.phases.map(({ phase, durationMs }) => [phase, seconds(durationMs)]),
    ),
  };
}

/** A source that is not there; where tags had been found in it, an alert counts the line. */
function sourceLost({ data }: MirrorEvent, report: MirrorReport): LogFields {
  if (report.ending !== 'source-lost') return {};
  const announcedTags = data.tags?.length ?? data.tagCount;
  return { code: 'SOURCE_LOST' satisfies ErrorCode, announcedTags: announcedTags || undefined };
}

/**
 * From scan to mirrored: told where this work ended what a change began, also as a batch, a continuation
 * or an execution of the job.
 */
function lag({ data }: MirrorEvent, report: MirrorReport, nowMs: number): LogFields {
  const { copied, retagged, overwritten } = report.counts;
  if (data.reason !== 'changed' || copied + retagged + overwritten === 0) return {};
  if (report.ending !== 'finished' || report.unfinished.length > 0) return {};
  return { lagSeconds: seconds(Math.max(0, nowMs - Date.parse(data.scanTime))) };
}

function severityOf({ decision, report }: EventOutcome): Severity {
  switch (decision.action) {
    case 'dead-letter':
      return 'ERROR';
    case 'retry':
      return 'WARNING';
    case 'continue':
    case 'batch':
      return 'NOTICE';
    case 'acknowledge':
      if (decision.reason.startsWith('PermanentFailure')) return 'ERROR';
      if (report?.brake.engaged === true) return 'WARNING';
      if (decision.reason === 'SourceLost') return 'WARNING';
      return report === undefined || unlistedWords(report).length === 0 ? 'INFO' : 'NOTICE';
  }
}

function messageOf({ data }: MirrorEvent, { decision, report, durationMs }: EventOutcome): string {
  const time = `in ${seconds(durationMs).toFixed(1)} s`;
  if (decision.action === 'dead-letter') return `gave up ${data.image}: ${decision.fault.message}`;
  if (report === undefined) return `could not mirror ${data.image}: ${decision.reason} ${time}`;
  const { failed, held, copied, retagged, overwritten } = report.counts;
  const { followers } = report;
  const done = copied + retagged + overwritten;
  const rest = [
    ...(followers > 0 ? [`${followers} signatures and referrers`] : []),
    ...(report.platformsLeftOut > 0 ? [`${report.platformsLeftOut} platforms left out`] : []),
    ...(failed > 0 ? [`${failed} failed`] : []),
    ...(report.leftAside > 0 ? [`${report.leftAside} left aside`] : []),
    ...unlistedWords(report),
    ...(held > 0 ? [brakeWords(report)] : []),
    ...(report.delegated.length > 0
      ? [
          `${report.delegated.length} ${report.ending === 'handed-off' ? 'handed to the job' : 'published as batches'}`,
        ]
      : []),
    ...(decision.action === 'acknowledge' && decision.reason !== 'SourceLost'
      ? []
      : [`${decision.action}: ${decision.reason}`]),
  ];
  if (report.ending === 'source-lost') return `the source ${data.image} is not there`;
  const tags = data.tags === undefined ? report.selectedTagCount : data.tags.length;
  return [`mirrored ${done - followers} of ${tags} tags of ${data.image} ${time}`, ...rest].join(
    ', ',
  );
}

/** The brake is loud, and tells the ways on. */
function brakeWords({ brake }: MirrorReport): string {
  return (
    `${brake.held} held: ${brake.missing} are missing, more than MAX_MISSING_TAGS ` +
    `${brake.maxMissingTags} (request a run, narrow the selection or raise the limit)`
  );
}

function seconds(ms: number): number {
  return Math.round(ms) / 1000;
}
