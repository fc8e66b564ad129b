import { SYSTEM_TIMING } from '../concurrency.ts';
import type { Engine } from '../compose.ts';
import type { JobConfig } from '../config.ts';
import { encodeEvent, type EncodedEvent } from '../contract/codec.ts';
import { MAX_TAGS, strongerReason, type MirrorEvent } from '../contract/event.ts';
import { defined } from '../contract/fields.ts';
import { MirrorError } from '../errors.ts';
import { isUnfinished, type TagRecord } from '../mirror/outcome.ts';
import type { Publisher } from '../pubsub/publisher.ts';
import type { Progress } from '../report/progress.ts';
import type { RunResult } from '../report/report-document.ts';
import { deadLetter } from '../subscriber/dead-letter.ts';
import type { DeliveryDeadline } from '../subscriber/delivery-deadline.ts';
import { executeEvent, type Executed } from '../subscriber/execute-event.ts';
import { batchesOf } from '../subscriber/derived-events.ts';
import { readEventVariable } from '../subscriber/cloud-run-job.ts';
import { eventFields, logEvent } from '../subscriber/log-lines.ts';
import type { Logger } from '../telemetry/logger.ts';

/** What a job executes events with. */
export interface JobContext {
  readonly engine: Pick<Engine, 'doWork' | 'rules' | 'flush'>;
  readonly deadline: DeliveryDeadline;
  readonly progress: Progress;
  readonly logger: Logger;
}

/** What came of one event. */
interface JobResult extends Executed {
  readonly durationMs: number;
}

/**
 * Executes one event by the service's rules, without handing anything on: a job has the time that
 * it needs. Never throws.
 * @param onRecord is told of every tag. Default: nobody
 */
export async function executeInJob(
  event: MirrorEvent,
  { engine, deadline, progress, logger: root }: JobContext,
  onRecord: (record: TagRecord) => void = () => undefined,
): Promise<JobResult> {
  const startedAtMs = SYSTEM_TIMING.now();
  const logger = root.child(eventFields(event));
  const executed = await executeEvent(event, {
    ...{ doWork: engine.doWork, rules: engine.rules },
    ...{ deadline, signal: deadline.signal, logger },
    observer: {
      onRecord: (record) => {
        progress.tag();
        onRecord(record);
      },
      onBytes: (count) => {
        progress.bytes(count);
      },
    },
  });
  const nowMs = SYSTEM_TIMING.now();
  const durationMs = nowMs - startedAtMs;
  logEvent(logger, event, { ...executed, shared: false, durationMs, nowMs });
  await engine.flush();
  return { ...executed, durationMs };
}

/** Which attempt of the Cloud Run task this is; undefined: it runs elsewhere. */
export interface TaskAttempt {
  /** From 0. */
  readonly number: number;
  readonly isLast: boolean;
}

/**
 * The attempt that Cloud Run tells its tasks (container contract, "Jobs").
 * @param maxRetries retries of the task, which Cloud Run does not tell
 */
export function taskAttempt(
  variable: string | undefined,
  maxRetries: number,
): TaskAttempt | undefined {
  if (variable === undefined || !/^\d+$/.test(variable)) return undefined;
  const number = Number(variable);
  return { number, isLast: number >= maxRetries };
}

/** What came of the event of `EVENT`. */
export interface EventRun {
  readonly result: RunResult;
  /** Whether another attempt has nothing to do: it is done, can never be, or is a dead letter. */
  readonly settled: boolean;
}

/**
 * Executes the event of `EVENT`. What remains goes to the dead-letter topic: on the last attempt, and
 * on any of a task where no attempt can succeed. A dry run publishes nothing.
 * @throws MirrorError `EVENT_UNDECODABLE`, `EVENT_INVALID`, `EVENT_TOO_LARGE` before anything is done
 */
export async function runEvent(
  config: JobConfig & { readonly event: string },
  context: JobContext & {
    readonly deadLetters: Publisher | undefined;
    readonly attempt: TaskAttempt | undefined;
  },
): Promise<EventRun> {
  const startedAt = new Date();
  const { attempt } = context;
  const event = tryOf(readEventVariable(config.event), attempt);
  // Only a report as JSON lists every tag.
  const records: TagRecord[] | undefined = config.output === 'json' ? [] : undefined;
  const done = await executeInJob(event, context, (record) => records?.push(record));
  const { action } = done.decision;
  const never = action === 'dead-letter' && attempt !== undefined;
  const isOver = never || (action !== 'acknowledge' && attempt?.isLast === true);
  const buried = isOver && !config.dryRun && (await putAside(event, done, context));
  const { report, fault, durationMs } = done;
  const result: RunResult = {
    startedAt,
    finishedAt: new Date(),
    dryRun: config.dryRun,
    destinationRegistry: config.destinationRegistry,
    repositories: [
      {
        image: event.data.image,
        durationMs,
        ...defined({ report, records: report && records, fault }),
      },
    ],
  };
  return { result, settled: action === 'acknowledge' || (never && buried) };
}

/**
 * A later attempt finds the tags of the ones before it there: it follows young subjects too, or their
 * signatures and referrers would be passed over.
 */
function tryOf(event: MirrorEvent, attempt: TaskAttempt | undefined): MirrorEvent {
  if (attempt === undefined || attempt.number === 0) return event;
  const reason = strongerReason(event.data.reason, 'follow-up');
  return { ...event, data: { ...event.data, reason } };
}

/** @returns whether the dead-letter topic has all that remains */
async function putAside(
  event: MirrorEvent,
  executed: Executed,
  { deadLetters, logger }: JobContext & { readonly deadLetters: Publisher | undefined },
): Promise<boolean> {
  if (deadLetters === undefined) {
    logger.error(`what remains of ${event.data.image} is not put aside: no DEAD_LETTER_TOPIC`);
    return false;
  }
  const remains = remainsOf(event, executed);
  try {
    await Promise.all(remains.map(async (message) => deadLetters.publish(message)));
    logger.error(`what remains of ${event.data.image} is in the dead-letter topic`, {
      messages: remains.length,
    });
    return true;
  } catch (error) {
    logger.error(`what remains of ${event.data.image} could not be put aside`, { error });
    return false;
  }
}

/**
 * What of an event is left after a failed attempt, as messages for the dead-letter topic: its
 * unfinished tags, or all of it where nothing could be planned.
 */
function remainsOf(event: MirrorEvent, { report, fault }: Executed): readonly EncodedEvent[] {
  if (report === undefined)
    return [deadLetter(encodeEvent(event), isTold(fault) ? fault : OUT_OF_TIME)];
  const cause = report.records.find(isUnfinished)?.fault;
  return batchesOf(event, report.unfinished, MAX_TAGS).map((batch) =>
    deadLetter(encodeEvent(batch), isTold(cause) ? cause : OUT_OF_TIME),
  );
}

const OUT_OF_TIME = new MirrorError('DEADLINE_EXCEEDED', 'the task ended before the work', {
  operation: 'mirror repository',
});

/** What was cut in the middle was cut by the end of the task's time, as what had not begun was. */
function isTold(fault: MirrorError | undefined): fault is MirrorError {
  return fault !== undefined && fault.code !== 'ABORTED';
}
