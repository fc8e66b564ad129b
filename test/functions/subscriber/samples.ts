import type { EncodedEvent } from '../../../functions/contract/codec.ts';
import {
  eventOf,
  type MirrorEvent,
  type MirrorRequest,
} from '../../../functions/contract/event.ts';
import { MirrorError, type ErrorCode } from '../../../functions/errors.ts';
import {
  NO_BLOBS,
  type LeftAsideReason,
  type TagRecord,
} from '../../../functions/mirror/outcome.ts';
import { buildReport, type MirrorReport } from '../../../functions/mirror/report.ts';
import { TagRecords } from '../../../functions/mirror/tag-records.ts';
import type { AdmissionRules } from '../../../functions/subscriber/admission.ts';
import { createLogger, type Logger } from '../../../functions/telemetry/logger.ts';

/** An event as the bridge publishes it; `tags` make it a batch. */
export function sampleEvent(
  data: Partial<MirrorRequest> = {},
  time = '2026-08-10T09:00:03Z',
): MirrorEvent {
  return eventOf(
    {
      imageRepository: { namespace: 'flux-system', name: 'podinfo', uid: 'u-1' },
      image: 'ghcr.io/stefanprodan/podinfo',
      revision: '3921220339',
      tagCount: 12,
      scanTime: '2026-08-10T09:00:02Z',
      exclusionList: [],
      reason: 'changed',
      ...data,
    },
    { clusterName: 'prod', time: new Date(time) },
  );
}

/** One tag's record. */
export function sampleRecord(record: Partial<TagRecord> = {}): TagRecord {
  return {
    tag: '1.0',
    outcome: 'copied',
    reason: 'Missing',
    bytesUploaded: 0,
    blobs: NO_BLOBS,
    durationMs: 5,
    ...record,
  };
}

/** The record of a tag that failed. */
export function failedRecord(code: ErrorCode, tag = '1.0'): TagRecord {
  return sampleRecord({ tag, outcome: 'failed', reason: code, fault: new MirrorError(code, 'x') });
}

/** What is skipped and yet not at the destination. */
export const LEFT_ASIDE: readonly LeftAsideReason[] = [
  'TagInvalid',
  'SubjectUnchanged',
  'SubjectNotMirrored',
  'NotAsked',
  'ReferrersRefused',
  'ReferrersTagRefused',
  'ForeignLayers',
  'BackupTag',
];

/** A report of these records. */
export function sampleReport(
  records: readonly TagRecord[] = [],
  facts: Partial<MirrorReport> = {},
): MirrorReport {
  const sum = (figure: (record: TagRecord) => number): number =>
    records.reduce((total, record) => total + figure(record), 0);
  const all = new TagRecords();
  for (const record of records) all.add(record);
  const report = buildReport({
    bytesUploaded: sum(({ bytesUploaded }) => bytesUploaded),
    blobsUploaded: sum(({ blobs }) => blobs.uploaded),
    blobsMounted: sum(({ blobs }) => blobs.mounted),
    bytesSaved: 0,
    blobsPresent: sum(({ blobs }) => blobs.present),
    source: 'ghcr.io/stefanprodan/podinfo',
    destination: 'r.example/m/ghcr.io/stefanprodan/podinfo',
    dryRun: false,
    ending: 'finished',
    records: all,
    sourceTagCount: records.length,
    selectedTagCount: records.length,
    destinationTagCount: 0,
    brake: { engaged: false, missing: records.length, maxMissingTags: 1000, held: 0 },
    delegated: [],
    handedOff: [],
    answered: 0,
    progressed: false,
    phases: [{ phase: 'list', durationMs: 3 }],
  });
  return { ...report, ...facts };
}

/** Rules that admit any source, and no destination but its own. */
export const SAMPLE_RULES: AdmissionRules = {
  destinationRegistry: 'r.example/m',
  destinationLayout: 'host-path',
  allowedSources: [],
  allowedDestinations: [],
  insecureSources: [],
};

/** A topic that keeps what is published to it, under the ids `new-1`, `new-2` and so on. */
export function keptMessages(): {
  readonly messages: EncodedEvent[];
  readonly publish: (message: EncodedEvent) => Promise<string>;
} {
  const messages: EncodedEvent[] = [];
  return {
    messages,
    publish: async (message) => Promise.resolve(`new-${messages.push(message)}`),
  };
}

/** A logger whose lines are kept as objects. */
export function keptLines(): {
  readonly logger: Logger;
  readonly lines: Record<string, unknown>[];
} {
  const lines: Record<string, unknown>[] = [];
  const logger = createLogger({
    level: 'debug',
    write: (line) => lines.push(JSON.parse(line) as Record<string, unknown>),
  });
  return { logger, lines };
}
