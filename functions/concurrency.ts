import { MirrorError, isMirrorError } from './errors.ts';

/** The time of everything that waits; injected, so that tests own it. */
export interface Timing {
  /** Milliseconds since 1970; never less than before. */
  readonly now: () => number;
  /** Calls `action` once after `delayMs`; the answer takes it back. */
  setTimer(delayMs: number, action: () => void): () => void;
}

/** Longest delay that a timer of Node takes (2^31 - 1 ms, 24.8 days); longer ones would fire at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/**
 * Milliseconds of a clock that only goes forward, from an arbitrary beginning. Node loads `performance`
 * when it is first read, which takes a cold start 5 ms.
 */
export function steadyMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}

/**
 * Milliseconds since 1970 that only go forward, so that ages and deadlines hold. Where the wall clock
 * is set back, time goes on from where it was, as long as the process lives; where it is set forward,
 * or the machine slept, time follows.
 */
export function forwardClock(
  wall: () => number = Date.now,
  steady: () => number = steadyMs,
): () => number {
  let beginMs = Number.NEGATIVE_INFINITY;
  return () => {
    const sinceMs = steady();
    beginMs = Math.max(beginMs, wall() - sinceMs);
    return Math.floor(beginMs + sinceMs);
  };
}

/** The machine's clock and timers. */
export const SYSTEM_TIMING: Timing = {
  now: forwardClock(),
  setTimer(delayMs, action) {
    const timer = setTimeout(action, Math.min(delayMs, LONGEST_TIMER_MS));
    return () => {
      clearTimeout(timer);
    };
  },
};

/** Waits; ends early with the signal's fault. @throws MirrorError `ABORTED`, or the signal's reason */
export function sleep(timing: Timing, delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(abortError(signal));
      return;
    }
    const stop = timing.setTimer(delayMs, () => {
      signal.removeEventListener('abort', onAbort);
      resolve();
    });
    function onAbort(): void {
      stop();
      reject(abortError(signal));
    }
    signal.addEventListener('abort', onAbort, { once: true });
  });
}

/**
 * Settles as `promise` does, or with the signal's fault where that comes first; `promise` itself
 * goes on. @throws MirrorError `ABORTED`, or the signal's reason
 */
export function raceSignal<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    function onAbort(): void {
      reject(abortError(signal));
    }
    if (signal.aborted) {
      onAbort();
      promise.catch(() => undefined);
      return;
    }
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => {
      signal.removeEventListener('abort', onAbort);
    });
  });
}

/** Why a signal was aborted: its reason where that is a fault, else `ABORTED`. */
export function abortError(signal: AbortSignal): MirrorError {
  const reason: unknown = signal.reason;
  return isMirrorError(reason) ? reason : new MirrorError('ABORTED', 'the work was interrupted');
}

/**
 * Waits for a promise no longer than this; what it settles with is not told, and it goes on.
 * @returns whether it settled in time
 * @throws MirrorError the signal's
 */
export function settledWithin(
  timing: Timing,
  promise: Promise<unknown>,
  limitMs: number,
  signal: AbortSignal,
): Promise<boolean> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(abortError(signal));
      return;
    }
    const end = (): void => {
      stop();
      signal.removeEventListener('abort', onAbort);
    };
    const stop = timing.setTimer(limitMs, () => {
      end();
      resolve(false);
    });
    function onAbort(): void {
      end();
      reject(abortError(signal));
    }
    signal.addEventListener('abort', onAbort, { once: true });
    const settled = (): void => {
      end();
      resolve(true);
    };
    promise.then(settled, settled);
  });
}

/** A signal that aborts with `TIMEOUT` after `limitMs`, and what takes its timer back. */
export function timeLimit(
  timing: Timing,
  limitMs: number,
): { readonly signal: AbortSignal; readonly release: () => void } {
  const controller = new AbortController();
  const release = timing.setTimer(limitMs, () => {
    controller.abort(new MirrorError('TIMEOUT', `not done within ${limitMs} ms`));
  });
  return { signal: controller.signal, release };
}

/** Full jitter: `random` (0 … 1) of min(`maxMs`, `baseMs` · 2^(attempt-1)). */
export function backoffMs(
  policy: { readonly baseMs: number; readonly maxMs: number },
  attempt: number,
  random: number,
): number {
  return Math.round(random * Math.min(policy.maxMs, policy.baseMs * 2 ** (attempt - 1)));
}

/** A shared result. */
export interface Flown<T> {
  readonly value: T;
  /** True for exactly one of those who waited: the one that has waited longest. */
  readonly first: boolean;
}

/** How a caller takes part in a flight. */
interface Flight<T> {
  readonly work: Promise<T>;
  readonly abort: AbortController;
  readonly waiters: Set<object>;
}

/**
 * Work that is shared by key. Its rules:
 * 1. a caller whose signal is aborted never enters;
 * 2. each caller races the work with its own signal;
 * 3. the last one to leave aborts the work, which from then on nobody can join;
 * 4. the entry is removed from outside when the work settles, whatever happened inside.
 */
export class SingleFlight<T> {
  readonly #flights = new Map<string, Flight<T>>();

  /** How many keys have work that somebody waits for. */
  get size(): number {
    return this.#flights.size;
  }

  /** Whether work of this key is under way. */
  has(key: string): boolean {
    return this.#flights.has(key);
  }

  /**
   * Joins the work of this key, or begins it.
   * @throws the caller's own abort fault, and whatever the work throws
   */
  async run(
    key: string,
    signal: AbortSignal,
    work: (shared: AbortSignal) => Promise<T>,
  ): Promise<Flown<T>> {
    if (signal.aborted) throw abortError(signal);
    const flight = this.#flights.get(key) ?? this.#begin(key, work);
    const waiter = {};
    flight.waiters.add(waiter);
    const leave = (): void => {
      this.#leave(key, flight, waiter, signal);
    };
    signal.addEventListener('abort', leave, { once: true });
    try {
      const value = await raceSignal(flight.work, signal);
      const [longest] = flight.waiters;
      return { value, first: longest === waiter };
    } finally {
      signal.removeEventListener('abort', leave);
    }
  }

  #begin(key: string, work: (shared: AbortSignal) => Promise<T>): Flight<T> {
    const abort = new AbortController();
    const flight: Flight<T> = {
      // Begun in a later turn, so that whoever begins it has entered before.
      work: Promise.resolve().then(async () => {
        if (abort.signal.aborted) throw abortError(abort.signal);
        return work(abort.signal);
      }),
      abort,
      waiters: new Set(),
    };
    this.#flights.set(key, flight);
    const remove = (): void => {
      if (this.#flights.get(key) === flight) this.#flights.delete(key);
    };
    flight.work.then(remove, remove);
    return flight;
  }

  #leave(key: string, flight: Flight<T>, waiter: object, signal: AbortSignal): void {
    flight.waiters.delete(waiter);
    if (flight.waiters.size > 0) return;
    if (this.#flights.get(key) === flight) this.#flights.delete(key);
    flight.abort.abort(abortError(signal));
  }
}

/** A first-come, first-served limit of how much is under way at once. */
export class Semaphore {
  readonly #limit: number;
  #taken = 0;
  readonly #waiting = new Set<() => void>();

  /** @param limit 1 or more */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** How many places are taken or waited for. */
  get load(): number {
    return this.#taken + this.#waiting.size;
  }

  /**
   * Waits for a place; the answer gives it back, once however often it is called.
   * @throws MirrorError `ABORTED`, or the signal's reason
   */
  async acquire(signal: AbortSignal): Promise<() => void> {
    if (signal.aborted) throw abortError(signal);
    if (this.#taken < this.#limit) this.#taken += 1;
    else await this.#wait(signal);
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      const [next] = this.#waiting;
      if (next === undefined) this.#taken -= 1;
      else next();
    };
  }

  /** A place goes from hand to hand, so that nobody overtakes those who wait. */
  #wait(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const grant = (): void => {
        this.#waiting.delete(grant);
        signal.removeEventListener('abort', leave);
        resolve();
      };
      const leave = (): void => {
        this.#waiting.delete(grant);
        reject(abortError(signal));
      };
      this.#waiting.add(grant);
      signal.addEventListener('abort', leave, { once: true });
    });
  }
}

/** One holder at a time for each key, in the order of coming. */
export class KeyedMutex {
  readonly #locks = new Map<string, Semaphore>();

  /** How many keys are held. */
  get size(): number {
    return this.#locks.size;
  }

  /** Does the work while it holds the key. @throws the signal's fault while it waits, and what the work throws */
  async run<T>(key: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const lock = this.#locks.get(key) ?? new Semaphore(1);
    this.#locks.set(key, lock);
    try {
      const release = await lock.acquire(signal);
      try {
        return await work();
      } finally {
        release();
      }
    } finally {
      if (lock.load === 0 && this.#locks.get(key) === lock) this.#locks.delete(key);
    }
  }
}

/** Limits a rate over time, not a number at once; starts full. */
export class TokenBucket {
  readonly #perSecond: number;
  readonly #burst: number;
  #tokens: number;
  #filledAtMs: number | undefined;

  constructor(rate: { readonly perSecond: number; readonly burst: number }) {
    this.#perSecond = rate.perSecond;
    this.#burst = rate.burst;
    this.#tokens = rate.burst;
  }

  /** Takes one token and answers 0, or answers in how many milliseconds there will be one. */
  take(nowMs: number): number {
    const elapsedMs = Math.max(0, nowMs - (this.#filledAtMs ?? nowMs));
    this.#tokens = Math.min(this.#burst, this.#tokens + (elapsedMs / 1000) * this.#perSecond);
    this.#filledAtMs = nowMs;
    if (this.#tokens < 1) return Math.ceil(((1 - this.#tokens) / this.#perSecond) * 1000);
    this.#tokens -= 1;
    return 0;
  }
}

/** The kinds of places: `start` counts requests until their answer, `body` counts streams of blobs. */
export type PlaceKind = 'start' | 'body';

/** One wish for a place, from its beginning to its end. */
export interface PlaceWish {
  /** The place was given. */
  taken(): void;
  /** The place was given back. */
  freed(): void;
}

/**
 * Is told who waits for places and who holds them, so that tests can hold the rule that nothing
 * waits for a place while it holds one of the same kind. Production has none.
 */
export interface PlaceObserver {
  /** Does one transfer; what is asked for within it is asked for by that transfer. */
  transfer<T>(work: () => Promise<T>): Promise<T>;
  /** Somebody waits for a place. */
  waits(kind: PlaceKind): PlaceWish;
}
