import { Fault } from '../fault.ts';
import { MAX_PAUSE_MS } from './retry-after.ts';
import { abortFault, type Timing } from './timing.ts';
import type { TokenBucket } from './token-bucket.ts';

/** Requests at once at the start: enough to learn from, too few to be throttled. */
const START = 8;
/** Requests at once at most, per origin. */
const MAX = 32;

/** How a request ended, as far as the gate learns from it. */
export type Verdict =
  /** Answered: the window grows. */
  | 'answered'
  /** Throttled, refused or broken off by the other side: the window is halved. */
  | 'congested'
  /** Ended by us: says nothing. */
  | 'abandoned';

/** A place at the gate. */
export interface Slot {
  /** Gives the place back; a second call does nothing. */
  release(verdict: Verdict): void;
}

/** The one limiter of an origin. */
export interface Gate {
  /**
   * Waits for a place.
   * @param wish `stream`: the place is held while a blob flows; one place is always left to the
   *   others. `deadlineAtMs`: when the work must have ended, on the gate's clock
   * @throws Fault `RATE_LIMITED` where the gate stays closed beyond the deadline, the signal's fault
   */
  acquire(
    wish: { readonly stream: boolean; readonly deadlineAtMs?: number | undefined },
    signal: AbortSignal,
  ): Promise<Slot>;
  /** Nothing passes for this long (at most 10 minutes): the other side throttles. */
  close(pauseMs: number): void;
}

/** Options of {@link openGate}. */
export interface GateOptions {
  readonly timing: Timing;
  /** A rate on top of the number at once. */
  readonly bucket?: TokenBucket | undefined;
}

interface Waiter {
  readonly stream: boolean;
  readonly deadlineAtMs: number;
  readonly grant: (slot: Slot) => void;
  readonly refuse: (fault: Fault) => void;
}

/**
 * A gate with a window of requests at once that grows by one per window of answers and is halved
 * once per congestion (AIMD, as TCP does): a bad answer to a request that began before the last
 * halving belongs to the same congestion.
 */
export function openGate({ timing, bucket }: GateOptions): Gate {
  let window = START;
  let inFlight = 0;
  let streams = 0;
  let epoch = 0;
  let closedUntilMs = 0;
  let stopTimer: (() => void) | undefined;
  const queue: Waiter[] = [];

  function pump(): void {
    stopTimer?.();
    stopTimer = undefined;
    const nowMs = timing.now();
    if (nowMs < closedUntilMs) {
      refuseHopeless();
      if (queue.length > 0) stopTimer = timing.setTimer(closedUntilMs - nowMs, pump);
      return;
    }
    for (let next = nextWaiter(); next !== -1; next = nextWaiter()) {
      const waitMs = bucket?.take(nowMs) ?? 0;
      if (waitMs > 0) {
        stopTimer = timing.setTimer(waitMs, pump);
        return;
      }
      const [waiter] = queue.splice(next, 1);
      waiter?.grant(makeSlot(waiter.stream));
    }
  }

  /** Small requests go first; streams leave one place to them. */
  function nextWaiter(): number {
    const places = Math.floor(window);
    if (inFlight >= places) return -1;
    const small = queue.findIndex(({ stream }) => !stream);
    if (small !== -1) return small;
    return streams < Math.max(1, places - 1) && queue.length > 0 ? 0 : -1;
  }

  function refuseHopeless(): void {
    for (let at = queue.length - 1; at >= 0; at--) {
      const waiter = queue[at];
      if (waiter === undefined || waiter.deadlineAtMs >= closedUntilMs) continue;
      queue.splice(at, 1);
      waiter.refuse(
        new Fault('RATE_LIMITED', 'the registry asked for a longer pause than there is time', {
          retryAfterMs: closedUntilMs - timing.now(),
        }),
      );
    }
  }

  function makeSlot(stream: boolean): Slot {
    const begunIn = epoch;
    let held = true;
    inFlight += 1;
    if (stream) streams += 1;
    return {
      release(verdict) {
        if (!held) return;
        held = false;
        inFlight -= 1;
        if (stream) streams -= 1;
        if (verdict === 'answered') window = Math.min(MAX, window + 1 / window);
        if (verdict === 'congested' && begunIn === epoch) {
          window = Math.max(1, window / 2);
          epoch += 1;
        }
        pump();
      },
    };
  }

  return {
    acquire({ stream, deadlineAtMs = Infinity }, signal) {
      return new Promise<Slot>((resolve, reject) => {
        if (signal.aborted) {
          reject(abortFault(signal));
          return;
        }
        const waiter: Waiter = {
          stream,
          deadlineAtMs,
          grant(slot) {
            signal.removeEventListener('abort', onAbort);
            resolve(slot);
          },
          refuse(fault) {
            signal.removeEventListener('abort', onAbort);
            reject(fault);
          },
        };
        function onAbort(): void {
          const at = queue.indexOf(waiter);
          if (at !== -1) queue.splice(at, 1);
          reject(abortFault(signal));
          pump();
        }
        signal.addEventListener('abort', onAbort, { once: true });
        queue.push(waiter);
        pump();
      });
    },
    close(pauseMs) {
      closedUntilMs = Math.max(closedUntilMs, timing.now() + Math.min(pauseMs, MAX_PAUSE_MS));
      pump();
    },
  };
}
