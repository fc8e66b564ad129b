import type { Timing } from '../concurrency.ts';
import { MirrorError } from '../errors.ts';
import type { Deadline } from '../mirror/deadline.ts';
import type { Clock } from '../mirror/ports.ts';

/** The deadline of one delivery, and the signal that leaves its transfers. */
export interface DeliveryDeadline extends Deadline {
  /**
   * Aborts at the end of the delivery's time with `DEADLINE_EXCEEDED`, or with `ABORTED` where the
   * process must end earlier.
   */
  readonly signal: AbortSignal;
  /** Whether that has happened, or no new blob may start any more. */
  readonly passed: () => boolean;
  /** Frees the timers; call it when the delivery has been answered. */
  readonly release: () => void;
}

/** The end of the process, once it is known; see {@link processEnd}. */
export interface ProcessEnd {
  /** When the process was told to end, milliseconds since 1970; undefined: it was not. */
  toldAtMs(): number | undefined;
  /** Calls the listener when the process is told to end. @returns removes the listener */
  onTold(listener: () => void): () => void;
}

/**
 * Time that deliveries still have after the process was told to end. Cloud Run kills 10 s after
 * SIGTERM (cloud.google.com/run/docs/container-contract, "Shutdown"): 3 s are left for publishing
 * what is unfinished, and for flushing.
 */
const END_GRACE_MS = 7_000;

/** In the last ninth of a delivery no blob starts: 60 s of 540 (design §9). */
const LAST_START = 8 / 9;
/**
 * A blob that began in the first third and was cut needs two thirds of a delivery and more: to begin
 * it again would most likely end as before.
 */
const EARLY = 1 / 3;

/**
 * Counts a delivery's time from the arrival of its request.
 * @param wholeMs `DEADLINE_SECONDS`, in milliseconds; infinite: until the process must end
 */
export function deliveryDeadline(
  arrivedAtMs: number,
  wholeMs: number,
  end: ProcessEnd,
  timing: Timing,
): DeliveryDeadline {
  const cut = new AbortController();
  const lastStart = new AbortController();
  const timers: (() => void)[] = [];

  function at(timeMs: number, action: () => void): void {
    if (timeMs === Number.POSITIVE_INFINITY) return;
    const leftMs = timeMs - timing.now();
    // A timer may be shorter than what is left: Node's end after 24 days.
    const look = (): void => {
      if (timing.now() >= timeMs) action();
      else at(timeMs, action);
    };
    timers.push(timing.setTimer(Math.max(0, leftMs), look));
  }

  function onTold(): void {
    lastStart.abort();
    at((end.toldAtMs() ?? timing.now()) + END_GRACE_MS, () => {
      cut.abort(new MirrorError('ABORTED', 'the process was told to end'));
    });
  }

  at(arrivedAtMs + wholeMs * LAST_START, () => {
    lastStart.abort();
  });
  at(arrivedAtMs + wholeMs, () => {
    cut.abort(new MirrorError('DEADLINE_EXCEEDED', 'the delivery ended before the work'));
  });
  const forget = end.onTold(onTold);
  if (end.toldAtMs() !== undefined) onTold();
  return {
    lastStart: lastStart.signal,
    earlyUntilMs:
      wholeMs === Number.POSITIVE_INFINITY
        ? Number.NEGATIVE_INFINITY
        : arrivedAtMs + wholeMs * EARLY,
    signal: cut.signal,
    endsAtMs: arrivedAtMs + wholeMs,
    passed: () => cut.signal.aborted || lastStart.signal.aborted,
    release: () => {
      for (const stop of timers.splice(0)) stop();
      forget();
    },
  };
}

/** A process that can be told to end, once. */
export interface EndableProcess extends ProcessEnd {
  tell(): void;
}

/** The one sign to a process that it must end. */
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
