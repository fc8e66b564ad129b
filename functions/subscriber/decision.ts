import { MAX_CONTINUATIONS, type MirrorEvent } from '../contract/event.ts';
import { MirrorError, type ErrorCode } from '../errors.ts';
import type { MirrorReport } from '../mirror/report.ts';

/**
 * What becomes of a delivery. `acknowledge`: it is done, or repeating it cannot help. `continue`:
 * some of it is done, or asked about; the unfinished tags are published and go on elsewhere. `batch`: these tags are
 * published as a batch of their own. `dead-letter`: it can never succeed. `retry`: Pub/Sub delivers it again.
 */
export type Decision =
  | { readonly action: 'acknowledge'; readonly reason: AcknowledgeReason }
  | {
      readonly action: 'continue';
      readonly reason: 'DeadlinePassed' | 'TransientFailures';
      readonly tags: readonly string[];
    }
  | {
      readonly action: 'batch';
      readonly reason: 'BatchUnfinished';
      readonly tags: readonly string[];
    }
  | {
      readonly action: 'dead-letter';
      readonly reason: 'NeverSucceeds';
      readonly fault: MirrorError;
    }
  | { readonly action: 'retry'; readonly reason: RetryReason };

/** Why a delivery is acknowledged. */
export type AcknowledgeReason =
  | 'Finished'
  /** Some tags failed in a way that repeating cannot mend. */
  | 'PermanentFailures'
  /** All of it failed so. */
  | 'PermanentFailure'
  | 'SourceLost'
  | 'HandedOff'
  | 'FannedOut'
  /** Another delivery's execution did it. */
  | 'Shared'
  /** It asks for nothing: an event of Flux about something else. */
  | 'NothingAsked';

/** Why a delivery is asked for again. */
export type RetryReason =
  | 'TransientFailures'
  | 'TransientFailure'
  | 'NoProgress'
  | 'NoBulkTopic'
  | 'NoDeadLetterTopic'
  | 'PublishFailed';

/** Faults of events that can never succeed, however often they are delivered. */
const NEVER: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'EVENT_UNDECODABLE',
  'EVENT_INVALID',
  'EVENT_TOO_LARGE',
  'REFERENCE_INVALID',
  'SOURCE_FORBIDDEN',
  'DESTINATION_FORBIDDEN',
  'CONTINUATIONS_EXHAUSTED',
]);

/** What of a report decides. */
export type ReportFacts = Pick<
  MirrorReport,
  'ending' | 'unfinished' | 'interrupted' | 'answered' | 'progressed' | 'counts'
>;

/** Decides about a delivery whose work another delivery's execution did, by that one's decision. */
export function decideShared(leader: Decision): Decision {
  return leader.action === 'retry' ? leader : { action: 'acknowledge', reason: 'Shared' };
}

/**
 * Decides after the work was done, by the report alone; the one place that decides whether a message
 * is acknowledged.
 * @param canContinue whether there is a topic that unfinished work can be published to
 */
export function decideAfterWork(
  event: MirrorEvent,
  report: ReportFacts,
  canContinue: boolean,
): Decision {
  if (report.ending === 'handed-off') return { action: 'acknowledge', reason: 'HandedOff' };
  if (report.ending === 'source-lost') return { action: 'acknowledge', reason: 'SourceLost' };
  if (report.ending === 'fanned-out') {
    return report.unfinished.length === 0
      ? { action: 'acknowledge', reason: 'FannedOut' }
      : { action: 'batch', reason: 'BatchUnfinished', tags: report.unfinished };
  }
  if (report.unfinished.length === 0) {
    return {
      action: 'acknowledge',
      reason: report.counts.failed === 0 ? 'Finished' : 'PermanentFailures',
    };
  }
  const { interrupted, progressed } = report;
  if (!progressed && !hasSettledSome(event, report)) {
    return { action: 'retry', reason: interrupted ? 'NoProgress' : 'TransientFailures' };
  }
  if (!canContinue) {
    return { action: 'retry', reason: interrupted ? 'NoBulkTopic' : 'TransientFailures' };
  }
  const continuation = event.data.continuation ?? 0;
  if (continuation >= MAX_CONTINUATIONS) {
    return {
      action: 'dead-letter',
      reason: 'NeverSucceeds',
      fault: new MirrorError(
        'CONTINUATIONS_EXHAUSTED',
        `the work did not end in ${MAX_CONTINUATIONS + 1} deliveries`,
        { operation: 'mirror repository', field: 'data.continuation' },
      ),
    };
  }
  // The event itself would not do: a redelivery finds the tags there and passes over their followers.
  return {
    action: 'continue',
    reason: interrupted ? 'DeadlinePassed' : 'TransientFailures',
    tags: report.unfinished,
  };
}

/**
 * Whether a delivery that had time for questions only has settled any of them: the same event would ask
 * all of them again.
 */
function hasSettledSome(
  { data: { tags } }: MirrorEvent,
  { interrupted, answered, unfinished }: ReportFacts,
): boolean {
  if (!interrupted || answered === 0) return false;
  if (tags === undefined || unfinished.length < tags.length) return true;
  // What follows its tags is left by names of its own, of which there may be more.
  const left = new Set(unfinished);
  return tags.some((tag) => !left.has(tag));
}

/** Decides about a delivery whose event could not be read or whose work could not begin. */
export function decideAfterError(fault: MirrorError): Decision {
  if (NEVER.has(fault.code)) return { action: 'dead-letter', reason: 'NeverSucceeds', fault };
  return fault.disposition === 'transient'
    ? { action: 'retry', reason: 'TransientFailure' }
    : { action: 'acknowledge', reason: 'PermanentFailure' };
}

/**
 * Thrown to the framework so that it answers 500 and Pub/Sub delivers again. The framework prints
 * the stack of what it catches; the log line is written before, so all that it finds is another
 * structured one that says little.
 */
export class Redelivery extends Error {
  override readonly name = 'Redelivery';

  /** @param reason why, as one word of the decision */
  constructor(reason: string) {
    super(`asked for redelivery: ${reason}`);
    this.stack = JSON.stringify({ severity: 'DEBUG', message: this.message });
  }
}
