import { timeLimit, type Timing } from '../concurrency.ts';
import type { MirrorEvent } from '../contract/event.ts';
import type { Offload } from '../mirror/offload.ts';
import type { Logger } from '../telemetry/logger.ts';
import { batchesOf } from './derived-events.ts';
import type { CloudRunJob } from './cloud-run-job.ts';
import { publishAll, type Publisher } from '../pubsub/publisher.ts';

/** Whom work can be given to; absent members take none. */
export interface OffloadTargets {
  /** The bulk topic. */
  readonly bulk?: Publisher | undefined;
  readonly handOff?: CloudRunJob | undefined;
}

/** How much of an event one delivery does by itself. */
export interface OffloadLimits {
  readonly batchTags: number;
  readonly jobThresholdBytes: number;
}

/** How long parts are handed off after the delivery's end, all together; it leaves 60 s of Pub/Sub's 600. */
const LATE_HAND_OFF_MS = 20_000;

/** Gives an event's surplus to the job and to the bulk topic. Faults of either are the event's. */
export function offloadOf(
  event: MirrorEvent,
  {
    bulk,
    handOff,
    limits,
    timing,
  }: OffloadTargets & { readonly limits: OffloadLimits; readonly timing: Timing },
  logger: Logger,
  signal: AbortSignal,
): Offload {
  let lateUntilMs: number | undefined;
  /** What the deadline has cut is handed off after it, in a time of its own. */
  function lateLimit(): ReturnType<typeof timeLimit> {
    lateUntilMs ??= timing.now() + LATE_HAND_OFF_MS;
    return timeLimit(timing, Math.max(0, lateUntilMs - timing.now()));
  }

  return {
    jobThresholdBytes: handOff === undefined ? -1 : limits.jobThresholdBytes,
    batchTags: bulk === undefined ? 0 : limits.batchTags,
    handOff: async (reason, tags) => {
      if (handOff === undefined) return 'declined';
      const parts = tags === undefined ? [event] : [...batchesOf(event, tags, tags.length)];
      let late: ReturnType<typeof timeLimit> | undefined;
      try {
        for (const part of parts) {
          if (signal.aborted) late ??= lateLimit();
          const started = await handOff.start(part, late?.signal ?? signal);
          const named = part.data.tags ?? [];
          if (started === 'too-large' && tags !== undefined && named.length > 1) {
            // Halves are begun until each fits into the job's variable.
            parts.push(...batchesOf(part, named, Math.ceil(named.length / 2)));
            continue;
          }
          logger.notice(`the job ${HAND_OFF_WORDS[started]} ${event.data.image}`, {
            handOffReason: reason,
            handOff: started,
          });
          if (started === 'too-large') return 'declined';
        }
        return 'taken';
      } finally {
        late?.release();
      }
    },
    fanOut: async (tags) => {
      if (bulk === undefined) return 'declined';
      const batches = batchesOf(event, tags, limits.batchTags);
      await publishAll(bulk, batches);
      logger.info(`published ${batches.length} batches of ${event.data.image}`, {
        batches: batches.length,
        delegatedTags: tags.length,
      });
      return 'taken';
    },
  };
}

const HAND_OFF_WORDS = {
  started: 'was started for',
  covered: 'already works on',
  'too-large': 'cannot take the large event of',
} as const;
