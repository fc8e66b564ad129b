import { sleep as sleepOrFail, SYSTEM_TIMING } from '../functions/concurrency.ts';

/** Waiting times between tries of one thing; see {@link backoff}. */
export interface Backoff {
  /** Time to wait before the next try, ms; each is longer than the one before. */
  next(): number;
  /** Begins anew after a success. */
  reset(): void;
}

/** Bounds of the waits. */
export interface BackoffRange {
  /** First wait, ms. Default 800, as client-go's reflector. */
  readonly minMs?: number;
  /** Longest wait, ms. Default 30,000: what is back must not wait long for us. */
  readonly maxMs?: number;
  /** A number in [0, 1). Default Math.random. */
  readonly random?: () => number;
}

/**
 * Exponential waits with jitter: `min × 2ⁿ`, at most `max`, of which a random half is taken off so
 * that replicas do not come in step.
 */
export function backoff(range: BackoffRange = {}): Backoff {
  const { minMs = 800, maxMs = 30_000, random = Math.random } = range;
  let tries = 0;
  return {
    next() {
      const fullMs = Math.min(maxMs, minMs * 2 ** tries);
      tries += 1;
      return fullMs * (1 - random() / 2);
    },
    reset() {
      tries = 0;
    },
  };
}

/** Waits; ends early, without an error, when the signal is aborted. */
export async function sleep(delayMs: number, signal: AbortSignal): Promise<void> {
  await sleepOrFail(SYSTEM_TIMING, delayMs, signal).catch(() => undefined);
}

/** An abort happens while others are awaited; a function keeps the compiler from thinking it known. */
export function isAborted(signal: AbortSignal): boolean {
  return signal.aborted;
}
