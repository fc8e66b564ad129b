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

/** What a request wants of the gate. */
export interface Wish {
  /** The place is held while a blob flows; one place is always left to the others. */
  readonly stream: boolean;
  /** When the work must have ended, on the gate's clock. Default: never. */
  readonly deadlineAtMs?: number | undefined;
}

/** The one limiter of an origin. */
export interface Gate {
  /**
   * Waits for a place.
   * @throws Fault `RATE_LIMITED` where the gate stays closed beyond the deadline, the signal's fault
   */
  acquire(wish: Wish, signal: AbortSignal): Promise<Slot>;
  /** Nothing passes for this long (at most 10 minutes): the other side throttles. */
  close(pauseMs: number): void;
}

/** Options of {@link openGate}. */
export interface GateOptions {
  readonly timing: Timing;
  /** A rate on top of the number at once. */
  readonly bucket?: TokenBucket | undefined;
}

/**
 * A gate with a window of requests at once, moved as TCP moves its own: by one per answer until the
 * first congestion (a cold image has too few requests to learn slowly), from then on by one per
 * window of answers; halved once per congestion. A bad answer to a request that began before the
 * last halving belongs to the same congestion.
 */
export function openGate(options: GateOptions): Gate {
  return new WindowGate(options);
}

interface Waiter {
  readonly stream: boolean;
  readonly deadlineAtMs: number;
  readonly grant: (slot: Slot) => void;
  readonly refuse: (fault: Fault) => void;
}

class WindowGate implements Gate {
  readonly #timing: Timing;
  readonly #bucket: TokenBucket | undefined;
  readonly #queue: Waiter[] = [];
  #window = START;
  #inFlight = 0;
  #streams = 0;
  /** Number of halvings so far. */
  #epoch = 0;
  #closedUntilMs = 0;
  #stopTimer: (() => void) | undefined;

  constructor({ timing, bucket }: GateOptions) {
    this.#timing = timing;
    this.#bucket = bucket;
  }

  acquire({ stream, deadlineAtMs = Infinity }: Wish, signal: AbortSignal): Promise<Slot> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(abortFault(signal));
        return;
      }
      const leave = (): void => {
        const at = this.#queue.indexOf(waiter);
        if (at !== -1) this.#queue.splice(at, 1);
        reject(abortFault(signal));
        this.#pump();
      };
      const waiter: Waiter = {
        stream,
        deadlineAtMs,
        grant(slot) {
          signal.removeEventListener('abort', leave);
          resolve(slot);
        },
        refuse(fault) {
          signal.removeEventListener('abort', leave);
          reject(fault);
        },
      };
      signal.addEventListener('abort', leave, { once: true });
      this.#queue.push(waiter);
      this.#pump();
    });
  }

  close(pauseMs: number): void {
    const untilMs = this.#timing.now() + Math.min(pauseMs, MAX_PAUSE_MS);
    this.#closedUntilMs = Math.max(this.#closedUntilMs, untilMs);
    this.#pump();
  }

  /** Lets pass who may; where only time is in the way, looks again then. */
  #pump(): void {
    this.#stopTimer?.();
    this.#stopTimer = undefined;
    const nowMs = this.#timing.now();
    if (nowMs < this.#closedUntilMs) {
      this.#refuseHopeless(nowMs);
      this.#lookAgainIn(this.#closedUntilMs - nowMs);
      return;
    }
    for (let next = this.#next(); next !== -1; next = this.#next()) {
      const waitMs = this.#bucket?.take(nowMs) ?? 0;
      if (waitMs > 0) {
        this.#lookAgainIn(waitMs);
        return;
      }
      const [waiter] = this.#queue.splice(next, 1);
      waiter?.grant(this.#slot(waiter.stream));
    }
  }

  #lookAgainIn(delayMs: number): void {
    if (this.#queue.length === 0) return;
    this.#stopTimer = this.#timing.setTimer(delayMs, () => {
      this.#pump();
    });
  }

  /** Who passes next; -1: nobody. Small requests go first; streams leave one place to them. */
  #next(): number {
    const places = Math.floor(this.#window);
    if (this.#inFlight >= places) return -1;
    const small = this.#queue.findIndex(({ stream }) => !stream);
    if (small !== -1) return small;
    return this.#streams < Math.max(1, places - 1) && this.#queue.length > 0 ? 0 : -1;
  }

  /** Who must have ended before the gate opens is told so at once. */
  #refuseHopeless(nowMs: number): void {
    const retryAfterMs = this.#closedUntilMs - nowMs;
    const hopeless = this.#queue.filter((waiter) => waiter.deadlineAtMs < this.#closedUntilMs);
    for (const waiter of hopeless) {
      this.#queue.splice(this.#queue.indexOf(waiter), 1);
      waiter.refuse(
        new Fault('RATE_LIMITED', 'the registry asked for a longer pause than there is time', {
          retryAfterMs,
        }),
      );
    }
  }

  #slot(stream: boolean): Slot {
    const epoch = this.#epoch;
    let held = true;
    this.#inFlight += 1;
    if (stream) this.#streams += 1;
    return {
      release: (verdict) => {
        if (!held) return;
        held = false;
        this.#inFlight -= 1;
        if (stream) this.#streams -= 1;
        if (verdict === 'answered') this.#grow();
        if (verdict === 'congested' && epoch === this.#epoch) this.#halve();
        this.#pump();
      },
    };
  }

  #grow(): void {
    const step = this.#epoch === 0 ? 1 : 1 / this.#window;
    this.#window = Math.min(MAX, this.#window + step);
  }

  #halve(): void {
    this.#window = Math.max(1, this.#window / 2);
    this.#epoch += 1;
  }
}
