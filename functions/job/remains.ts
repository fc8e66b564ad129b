import { encodeEvent, type EncodedEvent } from '../contract/codec.ts';
import { MAX_TAGS, type MirrorEvent } from '../contract/event.ts';
import { Fault } from '../fault.ts';
import { isUnfinished } from '../mirror/outcome.ts';
import { deadLetter } from '../subscriber/dead-letter.ts';
import { batchesOf } from '../subscriber/follow-on.ts';
import type { EventResult } from './event-work.ts';

/**
 * What of an event is left after a failed attempt, as messages for the dead-letter topic: its
 * unfinished tags, or all of it where nothing could be planned. Empty: nothing is left that another
 * try could do.
 */
export function remainsOf(event: MirrorEvent, result: EventResult): readonly EncodedEvent[] {
  if (result.decision.action === 'acknowledge') return [];
  const { report, fault } = result;
  if (report === undefined)
    return [deadLetter(encodeEvent(event), isTold(fault) ? fault : OUT_OF_TIME)];
  const cause = report.records.find(isUnfinished)?.fault;
  return batchesOf(event, report.unfinished, MAX_TAGS).map((batch) =>
    deadLetter(encodeEvent(batch), isTold(cause) ? cause : OUT_OF_TIME),
  );
}

const OUT_OF_TIME = new Fault('DEADLINE_EXCEEDED', 'the task ended before the work', {
  operation: 'mirror repository',
});

/** What was cut in the middle was cut by the end of the task's time, as what had not begun was. */
function isTold(fault: Fault | undefined): fault is Fault {
  return fault !== undefined && fault.code !== 'ABORTED';
}
