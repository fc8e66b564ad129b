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
  /** Bytes that each transfer under way still has to send. */
  readonly inFlightBytes: readonly number[];
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
 * a few would meet: a large blob starts only where it arrives in the time left beside what is under
 * way, and where none of that would be late for its sake, at the rate seen so far. One alone always
 * may start before any rate was seen.
 */
export function decideStart(facts: StartFacts): StartDecision {
  const { sizeBytes, inFlightBytes, bytesPerSecond, untilEndMs } = facts;
  if (facts.untilLastStartMs <= 0) return 'too-late';
  if (untilEndMs === Number.POSITIVE_INFINITY || sizeBytes < PACED_BLOB_BYTES) return 'start';
  const alone = inFlightBytes.length === 0;
  if (bytesPerSecond === undefined) {
    const fits = fitsIn((untilEndMs * ASSUMED_BYTES_PER_SECOND) / 1000, sizeBytes, inFlightBytes);
    return alone || fits ? 'start' : 'wait';
  }
  if ((sizeBytes * 1000) / bytesPerSecond > facts.wholeMs) return alone ? 'too-large' : 'wait';
  if ((sizeBytes * 1000) / bytesPerSecond > untilEndMs) return 'too-late';
  return fitsIn((untilEndMs * bytesPerSecond) / 1000, sizeBytes, inFlightBytes) ? 'start' : 'wait';
}

/** Whether one more transfer arrives while the link carries so many bytes, and makes none late. */
function fitsIn(carriedBytes: number, sizeBytes: number, others: readonly number[]): boolean {
  if (aheadOf(sizeBytes, others) > carriedBytes) return false;
  return others.every((otherBytes) => {
    const before = aheadOf(otherBytes, others) - otherBytes;
    return before > carriedBytes || before + Math.min(sizeBytes, otherBytes) <= carriedBytes;
  });
}

/**
 * Bytes that a link shared in equal parts carries until a transfer has arrived: its own, and of
 * every other one as many at most.
 */
function aheadOf(sizeBytes: number, others: readonly number[]): number {
  return others.reduce((sum, otherBytes) => sum + Math.min(otherBytes, sizeBytes), sizeBytes);
}
