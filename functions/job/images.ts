import pMap from 'p-map';

import { SYSTEM_TIMING } from '../concurrency.ts';
import type { Engine } from '../compose.ts';
import type { JobConfig } from '../config.ts';
import { eventOf, type MirrorEvent } from '../contract/event.ts';
import { defined } from '../contract/fields.ts';
import { NO_DEADLINE } from '../mirror/deadline.ts';
import type { TagRecord } from '../mirror/outcome.ts';
import type { RepositoryResult, RunResult } from '../report/report-document.ts';
import { executeEvent } from '../subscriber/execute-event.ts';
import { matchesImage } from '../subscriber/image-pattern.ts';

/** Told what happens during a run. */
export interface RunObserver {
  readonly onRecord: (image: string, record: TagRecord) => void;
  readonly onBytes: (count: number) => void;
  readonly onRepository: (result: RepositoryResult) => void;
}

/**
 * Mirrors the images of the command line, `--workers` at once. The operator's word needs no
 * `ALLOWED_SOURCES`, and lifts the brake.
 * @param deadlineAtMs when the run must have ended, in ms since 1970; undefined: never
 */
export async function mirrorImages(
  config: JobConfig,
  engine: Pick<Engine, 'doWork' | 'rules'>,
  observer: RunObserver,
  deadlineAtMs: number | undefined,
  signal: AbortSignal,
): Promise<RunResult> {
  const startedAt = new Date();
  const repositories = await pMap(
    config.images,
    async (image) => {
      const result = await mirrorImage(image, config, engine, observer, deadlineAtMs, signal);
      observer.onRepository(result);
      return result;
    },
    { concurrency: config.workers },
  );
  const { dryRun, destinationRegistry } = config;
  return { startedAt, finishedAt: new Date(), dryRun, destinationRegistry, repositories };
}

async function mirrorImage(
  image: string,
  config: JobConfig,
  engine: Pick<Engine, 'doWork' | 'rules'>,
  observer: RunObserver,
  deadlineAtMs: number | undefined,
  signal: AbortSignal,
): Promise<RepositoryResult> {
  const startedAtMs = SYSTEM_TIMING.now();
  const event = eventOfImage(image, config);
  const records: TagRecord[] | undefined = config.output === 'json' ? [] : undefined;
  const { report, fault } = await executeEvent(event, {
    doWork: engine.doWork,
    rules: { ...engine.rules, allowedSources: [] },
    deadline: { ...NO_DEADLINE, endsAtMs: deadlineAtMs ?? Infinity },
    observer: {
      onRecord: (record) => {
        observer.onRecord(image, record);
        records?.push(record);
      },
      onBytes: observer.onBytes,
    },
    signal,
  });
  const durationMs = SYSTEM_TIMING.now() - startedAtMs;
  return { image, durationMs, ...defined({ report, records: report && records, fault }) };
}

/** The event that asks for what the command line says; it belongs to no object of a cluster. */
function eventOfImage(image: string, { tags, verify, insecureSources }: JobConfig): MirrorEvent {
  const time = new Date();
  return eventOf(
    {
      imageRepository: { namespace: 'command-line', name: 'mirror', uid: image.slice(0, 128) },
      image,
      revision: '',
      tagCount: tags.length,
      scanTime: time.toISOString(),
      exclusionList: [],
      reason: 'requested',
      ...defined({ tags: tags.length === 0 ? undefined : [...new Set(tags)], verify }),
      // Here the operator says so, by --insecure-source.
      insecure: insecureSources.some((pattern) => matchesImage(pattern, image)),
    },
    { clusterName: 'command-line', time },
  );
}
