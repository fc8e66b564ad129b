import { SYSTEM_TIMING } from '../concurrency.ts';
import type { Engine } from '../compose.ts';
import type { MirrorEvent } from '../contract/event.ts';
import { toFault, type Fault } from '../fault.ts';
import type { TagRecord } from '../mirror/outcome.ts';
import type { MirrorReport } from '../mirror/report.ts';
import type { Progress } from '../report/progress.ts';
import { admit } from '../subscriber/admission.ts';
import { decideAfterFault, decideAfterWork, type Decision } from '../subscriber/decision.ts';
import type { DeliveryDeadline } from '../subscriber/delivery-deadline.ts';
import { eventFields, logEvent, TagLines } from '../subscriber/log-lines.ts';
import type { Logger } from '../telemetry/logger.ts';

/** What came of one event. */
export interface EventResult {
  /** Every tag's record, where {@link EventWorkParts.keepRecords} asks for them. */
  readonly records?: readonly TagRecord[];
  readonly decision: Decision;
  readonly report?: MirrorReport;
  /** Why nothing could be planned. */
  readonly fault?: Fault;
  readonly durationMs: number;
}

/** What events are executed with. */
export interface EventWorkParts {
  readonly engine: Engine;
  readonly deadline: DeliveryDeadline;
  readonly progress: Progress;
  readonly logger: Logger;
  /** Keep every tag's record, for a report that lists them. Default false. */
  readonly keepRecords?: boolean;
}

/**
 * Executes one event by the service's rules, without handing anything on: a job has the time that
 * it needs. Never throws.
 */
export async function executeEvent(
  event: MirrorEvent,
  { logger: root, ...parts }: EventWorkParts,
): Promise<EventResult> {
  const startedAtMs = SYSTEM_TIMING.now();
  const logger = root.child(eventFields(event));
  const result = await attempt(event, { ...parts, logger });
  const nowMs = SYSTEM_TIMING.now();
  const durationMs = nowMs - startedAtMs;
  logEvent(logger, event, { ...result, shared: false, durationMs, nowMs });
  await parts.engine.flush();
  return { ...result, durationMs };
}

async function attempt(
  event: MirrorEvent,
  { engine, deadline, progress, logger, keepRecords = false }: EventWorkParts,
): Promise<Omit<EventResult, 'durationMs'>> {
  const tagLines = new TagLines(logger, event.data.image);
  const records: TagRecord[] = [];
  try {
    const work = engine.doWork({
      event,
      admission: admit(event, engine.rules),
      deadline,
      deadlineAtMs: deadline.endsAtMs,
      observer: {
        onRecord: (record) => {
          progress.tag();
          tagLines.write(record);
          if (keepRecords) records.push(record);
        },
        onBytes: (count) => {
          progress.bytes(count);
        },
      },
      signal: deadline.signal,
    });
    const report = await work.finally(() => {
      tagLines.end();
    });
    const decision = decideAfterWork(event, report, false);
    return { report, decision, ...(keepRecords ? { records } : {}) };
  } catch (error) {
    const fault = toFault(error, 'mirror repository');
    return { fault, decision: decideAfterFault(fault) };
  }
}
