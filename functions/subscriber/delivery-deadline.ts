import type { Deadline } from '../mirror/deadline.ts';
import type { Clock } from '../mirror/ports.ts';

/** The deadline of one delivery, and the signal that leaves its transfers. */
export interface DeliveryDeadline extends Deadline {
  /** Aborts at the end of the delivery's time, or earlier where the process must end. */
  readonly signal: AbortSignal;
  /** Whether that has happened, or no new blob may start any more. */
  readonly passed: () => boolean;
  /** Frees the timer; call it when the delivery has been answered. */
  readonly release: () => void;
}

/** The end of the process, once it is known; see {@link processEnd}. */
export interface ProcessEnd {
  /** When the process was told to end, milliseconds since 1970; undefined: it was not. */
  toldAtMs(): number | undefined;
  /** Calls back when it is told to; the result takes the wish back. */
  onTold(listener: () => void): () => void;
}

/**
 * Time that deliveries still have after the process was told to end. Cloud Run kills 10 s after
 * SIGTERM (cloud.google.com/run/docs/container-contract, "Shutdown"): 3 s are left for publishing
 * what is unfinished, and for flushing.
 */
export const END_GRACE_MS = 7_000;

/** Longest delay that a timer takes; longer ones are armed again. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/**
 * Counts a delivery's time from the arrival of its request. In the last ninth no new blob starts.
 * @param wholeMs `DEADLINE_SECONDS`, in milliseconds; infinite: until the process must end
 */
export function deliveryDeadline(
  arrivedAtMs: number,
  wholeMs: number,
  end: ProcessEnd,
  clock: Clock,
): DeliveryDeadline {
  const controller = new AbortController();
  const endAtMs = (): number => {
    const toldAtMs = end.toldAtMs();
    const ownMs = arrivedAtMs + wholeMs;
    return toldAtMs === undefined ? ownMs : Math.min(ownMs, toldAtMs + END_GRACE_MS);
  };
  const untilEndMs = (): number => endAtMs() - clock();
  const untilLastStartMs = (): number => {
    if (end.toldAtMs() !== undefined) return 0;
    return wholeMs === Number.POSITIVE_INFINITY ? wholeMs : untilEndMs() - wholeMs / 9;
  };

  let timer: NodeJS.Timeout | undefined;
  const arm = (): void => {
    clearTimeout(timer);
    const remainingMs = untilEndMs();
    if (remainingMs === Number.POSITIVE_INFINITY) return;
    timer = setTimeout(
      () => {
        if (untilEndMs() <= 0) controller.abort();
        else arm();
      },
      Math.min(Math.max(0, remainingMs), LONGEST_TIMER_MS),
    );
  };
  arm();
  const forget = end.onTold(arm);
  return {
    wholeMs,
    untilEndMs,
    untilLastStartMs,
    signal: controller.signal,
    passed: () => controller.signal.aborted || untilLastStartMs() <= 0,
    release: () => {
      clearTimeout(timer);
      forget();
    },
  };
}

/** A process that can be told to end, once. */
export interface EndableProcess extends ProcessEnd {
  tell(): void;
}

/** The one knowledge of a process that it must end. */
export function processEnd(clock: Clock): EndableProcess {
  let toldAtMs: number | undefined;
  const listeners = new Set<() => void>();
  return {
    toldAtMs: () => toldAtMs,
    onTold: (listener) => {
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
      };
    },
    tell: () => {
      if (toldAtMs !== undefined) return;
      toldAtMs = clock();
      for (const listener of [...listeners]) listener();
    },
  };
}
