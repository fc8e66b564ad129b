import type { MirrorEvent } from '../contract/event.ts';
import { toMirrorError, type MirrorError } from '../errors.ts';
import type { Deadline } from '../mirror/deadline.ts';
import type { Offload } from '../mirror/offload.ts';
import type { MirrorObserver } from '../mirror/report-builder.ts';
import type { MirrorReport } from '../mirror/report.ts';
import type { Logger } from '../telemetry/logger.ts';
import { admit, type Admission, type AdmissionRules } from './admission.ts';
import { decideAfterError, decideAfterWork, type Decision } from './decision.ts';
import { TagLines } from './log-lines.ts';

/** One admitted event, with the time and the help that it has. */
export interface Work {
  readonly event: MirrorEvent;
  readonly admission: Admission;
  readonly deadline: Deadline;
  readonly offload?: Offload | undefined;
  readonly observer?: MirrorObserver | undefined;
  readonly signal: AbortSignal;
}

/** Does the work: the engine with the registries of the process. @throws MirrorError */
export type DoWork = (work: Work) => Promise<MirrorReport>;

/** What an event is executed with, whoever brought it. */
export interface EventContext extends Omit<Work, 'event' | 'admission'> {
  readonly doWork: DoWork;
  readonly rules: AdmissionRules;
  /** Whether there is a topic that unfinished work can be published to. Default: false. */
  readonly canContinue?: boolean;
  /** Where the lines of the tags go. Default: nowhere. */
  readonly logger?: Logger | undefined;
}

/** What came of executing an event. */
export interface Executed {
  readonly decision: Decision;
  /** Absent where the work could not begin. */
  readonly report?: MirrorReport;
  readonly fault?: MirrorError;
}

/** Admits an event, does its work, and decides what becomes of it. Never throws. */
export async function executeEvent(
  event: MirrorEvent,
  { doWork, rules, canContinue = false, logger, observer, ...help }: EventContext,
): Promise<Executed> {
  const lines = logger === undefined ? undefined : new TagLines(logger, event.data.image);
  try {
    const report = await doWork({
      ...help,
      event,
      admission: admit(event, rules),
      observer: {
        ...observer,
        onRecord: (record) => {
          observer?.onRecord?.(record);
          lines?.write(record);
        },
      },
    }).finally(() => lines?.end());
    return { report, decision: decideAfterWork(event, report, canContinue) };
  } catch (error) {
    const fault = toMirrorError(error, 'mirror repository');
    return { fault, decision: decideAfterError(fault) };
  }
}
