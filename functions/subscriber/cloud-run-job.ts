import { decodeEvent, type ReceivedEvent } from '../contract/codec.ts';
import type { MirrorEvent } from '../contract/event.ts';
import { asFields } from '../contract/fields.ts';
import { doesWorkOf, type Compares } from '../contract/newest.ts';
import { MirrorError, isMirrorError, printable } from '../errors.ts';

/** Name of the job's variable that holds the event. */
export const EVENT_VARIABLE = 'EVENT';

/** Largest event that a job is given, bytes of its JSON: variables of a container hold 32 KiB. */
const MAX_EVENT_BYTES = 16 * 1024;

/** A call of a Google API with JSON both ways; the token is the port's business. */
export interface JsonApi {
  /** @throws MirrorError of the network or the credentials */
  call(
    method: 'GET' | 'POST',
    url: URL,
    body: unknown,
    signal: AbortSignal,
  ): Promise<{ readonly status: number; readonly body: unknown }>;
}

/** Gives events to the Cloud Run job. */
export interface CloudRunJob {
  /**
   * Starts an execution with the event, unless one that has not ended covers it. `too-large`: the
   * event does not fit into a variable.
   * @throws MirrorError `HAND_OFF_FAILED`
   */
  start(event: MirrorEvent, signal: AbortSignal): Promise<'started' | 'covered' | 'too-large'>;
}

/** The event as a job's variable holds it: a CloudEvent in structured mode (CloudEvents JSON format). */
export function eventVariable(event: MirrorEvent): string {
  return JSON.stringify({ specversion: '1.0', datacontenttype: 'application/json', ...event });
}

/**
 * Reads the variable.
 * @throws MirrorError `EVENT_UNDECODABLE`, `EVENT_INVALID`, `EVENT_TOO_LARGE`
 */
export function readEventVariable(text: string): MirrorEvent {
  const sizeBytes = Buffer.byteLength(text);
  // guard: event-variable
  if (sizeBytes > MAX_EVENT_BYTES) {
    throw new MirrorError(
      'EVENT_TOO_LARGE',
      `${EVENT_VARIABLE} has ${sizeBytes} bytes, over 16 KiB`,
      {
        operation: 'decode event',
        field: EVENT_VARIABLE,
      },
    );
  }
  try {
    return decodeEvent(JSON.parse(text) as ReceivedEvent);
  } catch (error) {
    if (isMirrorError(error)) throw error;
    throw new MirrorError('EVENT_UNDECODABLE', `${EVENT_VARIABLE} is no JSON`, {
      operation: 'decode event',
      field: EVENT_VARIABLE,
    });
  }
}

/**
 * Starts a job by the Cloud Run Admin API v2 (`jobs.run` with overrides; the caller needs
 * `roles/run.jobsExecutorWithOverrides`).
 * @param job `projects/P/locations/L/jobs/J`
 * @param compares what the job has compared; it has the service's options
 */
export function cloudRunJob(
  api: JsonApi,
  endpoint: string,
  job: string,
  compares: Compares,
): CloudRunJob {
  async function isCovered(event: MirrorEvent, signal: AbortSignal): Promise<boolean> {
    const url = new URL(`/v2/${job}/executions`, endpoint);
    // Newest first; what is older than the last hundred has long begun before this event.
    url.searchParams.set('pageSize', '100');
    const { status, body } = await api.call('GET', url, undefined, signal);
    if (status !== 200) throw refusal('list executions', status, body);
    return executionsOf(body).some((execution) => covers(execution, event, compares));
  }

  return {
    start: async (event, signal) => {
      const value = eventVariable(event);
      // guard: event-variable
      if (Buffer.byteLength(value) > MAX_EVENT_BYTES) return 'too-large';
      try {
        if (await isCovered(event, signal)) return 'covered';
        const { status, body } = await api.call(
          'POST',
          new URL(`/v2/${job}:run`, endpoint),
          { overrides: { containerOverrides: [{ env: [{ name: EVENT_VARIABLE, value }] }] } },
          signal,
        );
        if (status !== 200) throw refusal('run job', status, body);
        return 'started';
      } catch (error) {
        if (isMirrorError(error, 'HAND_OFF_FAILED')) throw error;
        throw new MirrorError('HAND_OFF_FAILED', 'the job could not be started', {
          operation: 'run job',
          cause: error,
        });
      }
    },
  };
}

/** What of an execution decides whether it covers an event. */
interface Execution {
  readonly createTime: string;
  readonly completionTime: string | undefined;
  readonly event: string | undefined;
}

/**
 * How far a cluster's clock may be from Cloud Run's, in milliseconds: where only both can be compared,
 * an execution must be younger than the event by more.
 */
const CLOCK_MARGIN_MS = 5 * 60_000;

/**
 * Whether an execution that has not ended does this event's work: begun after the event (it will
 * list the source after it), same image and configuration, no weaker reason, comparing no less, and all
 * of the event's tags where it has them.
 */
function covers(
  { createTime, completionTime, event }: Execution,
  wanted: MirrorEvent,
  compares: Compares,
): boolean {
  if (completionTime !== undefined || event === undefined) return false;
  let given: MirrorEvent;
  try {
    given = readEventVariable(event);
  } catch {
    return false;
  }
  if (!isBegunAfter(wanted, given, Date.parse(createTime))) return false;
  return (
    given.data.image === wanted.data.image &&
    doesWorkOf(given.data, wanted.data, compares) &&
    coversTags(given.data.tags, wanted.data.tags)
  );
}

/**
 * Whether an execution began after an event was made. The event that it was given is compared where
 * one clock wrote the times of both, that of their cluster; it cannot be from long after the execution.
 */
function isBegunAfter(wanted: MirrorEvent, given: MirrorEvent, createdAtMs: number): boolean {
  const [wantedMs, givenMs] = [Date.parse(wanted.time), Date.parse(given.time)];
  const oneClock = given.source === wanted.source && givenMs <= createdAtMs + CLOCK_MARGIN_MS;
  return (oneClock && givenMs >= wantedMs) || createdAtMs > wantedMs + CLOCK_MARGIN_MS;
}

function coversTags(
  given: readonly string[] | undefined,
  wanted: readonly string[] | undefined,
): boolean {
  if (wanted === undefined || given === undefined) return given === wanted;
  const tags = new Set(given);
  return wanted.every((tag) => tags.has(tag));
}

function executionsOf(body: unknown): readonly Execution[] {
  const list = asFields(body)['executions'];
  if (!Array.isArray(list)) return [];
  return list.map((entry: unknown) => {
    const execution = asFields(entry);
    const [container] = arrayOf(asFields(execution['template'])['containers']);
    const { args, env } = asFields(container);
    const variable = arrayOf(env)
      .map(asFields)
      .find(({ name }) => name === EVENT_VARIABLE);
    return {
      createTime: textOf(execution['createTime']) ?? '',
      completionTime: textOf(execution['completionTime']),
      // Somebody's arguments make it another run than the subscriber's: a dry run, or a drain.
      event: arrayOf(args).length > 0 ? undefined : textOf(variable?.['value']),
    };
  });
}

/** A refusal by the API, its message made fit for a log (google.rpc.Status). */
function refusal(operation: string, status: number, body: unknown): MirrorError {
  const message = textOf(asFields(asFields(body)['error'])['message']) ?? 'no message';
  return new MirrorError('HAND_OFF_FAILED', `${operation}: ${status} ${printable(message)}`, {
    operation,
    status,
  });
}

function arrayOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? (value as readonly unknown[]) : [];
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
