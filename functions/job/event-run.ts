import type { JobConfig } from '../config.ts';
import { strongerReason, type MirrorEvent } from '../contract/event.ts';
import type { RunResult } from '../report/report-document.ts';
import { readEventVariable } from '../subscriber/hand-off.ts';
import type { Publisher } from '../pubsub/publisher.ts';
import { executeEvent, type EventResult, type EventWorkParts } from './event-work.ts';
import { remainsOf } from './remains.ts';

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
 * @throws Fault `EVENT_UNDECODABLE`, `EVENT_INVALID`, `EVENT_TOO_LARGE` before anything is done
 */
export async function runEvent(
  config: JobConfig & { readonly event: string },
  parts: EventWorkParts & {
    readonly deadLetters: Publisher | undefined;
    readonly attempt: TaskAttempt | undefined;
  },
): Promise<EventRun> {
  const startedAt = new Date();
  const event = tryOf(readEventVariable(config.event), parts.attempt);
  const done = await executeEvent(event, { ...parts, keepRecords: config.output === 'json' });
  const { action } = done.decision;
  const never = action === 'dead-letter' && parts.attempt !== undefined;
  const isOver = never || parts.attempt?.isLast === true;
  const buried = isOver && !config.dryRun && (await putAside(event, done, parts));
  const { report, records, fault, durationMs } = done;
  const result: RunResult = {
    startedAt,
    finishedAt: new Date(),
    dryRun: config.dryRun,
    destinationRegistry: config.destinationRegistry,
    repositories: [
      {
        image: event.data.image,
        durationMs,
        ...(report === undefined ? {} : { report }),
        ...(records === undefined ? {} : { records }),
        ...(fault === undefined ? {} : { fault }),
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
  result: EventResult,
  { deadLetters, logger }: EventWorkParts & { readonly deadLetters: Publisher | undefined },
): Promise<boolean> {
  const remains = remainsOf(event, result);
  if (remains.length === 0) return true;
  if (deadLetters === undefined) {
    logger.error(`what remains of ${event.data.image} is not put aside: no DEAD_LETTER_TOPIC`);
    return false;
  }
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
