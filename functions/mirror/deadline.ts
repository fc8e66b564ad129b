/** How long a delivery may take; what has none (the job, the command line) uses {@link NO_DEADLINE}. */
export interface Deadline {
  /** Milliseconds in which new blobs may still start; 0 or less: none may. */
  untilLastStartMs(): number;
  /** Milliseconds until the answer is sent and what is unfinished is left. */
  untilEndMs(): number;
  /** Length of a whole delivery from its arrival, in milliseconds. */
  readonly wholeMs: number;
}

/** Work that may take as long as it needs. */
export const NO_DEADLINE: Deadline = {
  untilLastStartMs: () => Number.POSITIVE_INFINITY,
  untilEndMs: () => Number.POSITIVE_INFINITY,
  wholeMs: Number.POSITIVE_INFINITY,
};

/** What is known when a blob asks to start. */
export interface StartFacts {
  readonly sizeBytes: number;
  /** Bytes that the transfers under way still have to send. */
  readonly inFlightBytes: number;
  /** Bytes per second that the process was seen to send; undefined before enough was seen. */
  readonly bytesPerSecond: number | undefined;
  readonly untilLastStartMs: number;
  readonly untilEndMs: number;
  readonly wholeMs: number;
}

/**
 * `start`; `wait` (it fits once what is under way has arrived); `too-late` (it would not arrive in
 * this delivery); `too-large` (nor in any whole one).
 */
export type StartDecision = 'start' | 'wait' | 'too-late' | 'too-large';

/** Blobs under 4 MiB start freely: sending one again costs less than waiting to see. */
export const PACED_BLOB_BYTES = 4 * 1024 * 1024;

/**
 * What a link is taken to carry before it was measured, bytes per second: the slowest rate that a
 * transfer's own time budget (30 s + size at 1 MiB/s) allows.
 */
export const ASSUMED_BYTES_PER_SECOND = 1024 * 1024;

/**
 * Whether a blob may start now. Transfers share the link, so many at once all miss a deadline that
 * a few would meet: a large blob starts only where it and all that is under way arrive in the time
 * left, at the rate seen so far. One alone always may start before any rate was seen.
 */
export function decideStart(facts: StartFacts): StartDecision {
  const { sizeBytes, inFlightBytes, bytesPerSecond } = facts;
  if (facts.untilLastStartMs <= 0) return 'too-late';
  if (facts.untilEndMs === Number.POSITIVE_INFINITY || sizeBytes < PACED_BLOB_BYTES) return 'start';
  const alone = inFlightBytes === 0;
  if (bytesPerSecond === undefined) {
    if (alone) return 'start';
    const neededMs = durationMs(sizeBytes + inFlightBytes, ASSUMED_BYTES_PER_SECOND);
    return neededMs <= facts.untilEndMs ? 'start' : 'wait';
  }
  if (durationMs(sizeBytes, bytesPerSecond) > facts.wholeMs) return alone ? 'too-large' : 'wait';
  if (durationMs(sizeBytes, bytesPerSecond) > facts.untilEndMs) return 'too-late';
  const togetherMs = durationMs(sizeBytes + inFlightBytes, bytesPerSecond);
  return togetherMs <= facts.untilEndMs ? 'start' : 'wait';
}

function durationMs(sizeBytes: number, bytesPerSecond: number): number {
  return (sizeBytes * 1000) / bytesPerSecond;
}
