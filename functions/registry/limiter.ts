import {
  abortError,
  type PlaceObserver,
  type PlaceWish,
  type Timing,
  type TokenBucket,
} from '../concurrency.ts';
import { MirrorError } from '../errors.ts';
import { MAX_PAUSE_MS } from './retry-after.ts';

/** Requests at once at the start: enough to learn from, too few to be throttled. */
const START = 8;
/** Requests at once at most, per origin: what crane and regsync reach on one host (registries.md §2). */
const MAX = 32;

/**
 * Artifact Registry counts 60,000 requests a minute and project (its quotas page), of which Kubernetes saw about
 * 83 a second granted to one client (kubernetes/registry.k8s.io#153) and has run at 50.
 */
export const ARTIFACT_REGISTRY_RATE = { perSecond: 50, burst: 500 };

/**
 * So many of those that go first start before one that waits behind them: thousands of tags that are looked
 * at would keep every blob of the origin, and the streams that they hold.
 */
const MAX_AHEAD = 4;

/** What a request's ending says of its origin's load. */
export type Load =
  /** Answered: the window grows. */
  | 'ok'
  /** Throttled, refused or broken off by the other side: the window is halved. */
  | 'congested'
  /** Ended by us: says nothing. */
  | 'aborted';

/** A place in an origin's window. */
export interface Permit {
  /** Gives the place back; a second call does nothing. */
  free(): void;
  /** Learns from the ending, also long after the place was given back. */
  learn(load: Load): void;
}

/** Options of {@link AdaptiveLimiter}. */
export interface LimiterOptions {
  readonly timing: Timing;
  /** A rate on top of the number at once. */
  readonly bucket?: TokenBucket | undefined;
  readonly observer?: PlaceObserver | undefined;
  /** Is told until when nothing starts, on the timing's clock; not of pauses that nobody waits for. */
  readonly onPause?: ((untilMs: number) => void) | undefined;
}

interface Waiter {
  readonly goesFirst: boolean;
  readonly deadlineAtMs: number;
  readonly grant: () => void;
  readonly refuse: (fault: MirrorError) => void;
}

/**
 * The starts of an origin's requests: a window of those that wait for an answer, moved as TCP moves
 * its own. It grows by one per answer until the first congestion (a cold image has too few requests
 * to learn slowly), from then on by one per window of answers, and is halved once per congestion: a
 * bad ending of a request that began before the last halving belongs to the same congestion.
 *
 * A place is held until the answer's header came, or until an upload's body begins to flow; no place
 * is held while a body flows. So whoever holds a place waits for the network alone, which has its
 * own limits, and for no other place.
 */
export class AdaptiveLimiter {
  readonly #timing: Timing;
  readonly #bucket: TokenBucket | undefined;
  readonly #observer: PlaceObserver | undefined;
  readonly #onPause: ((untilMs: number) => void) | undefined;
  readonly #queue: Waiter[] = [];
  #window = START;
  #inFlight = 0;
  /** Starts in a row of those that go first, while others waited. */
  #ahead = 0;
  /** Number of halvings so far. */
  #epoch = 0;
  #closedUntilMs = 0;
  /** When the pause ends that the other side asked for, where that is longer than anybody waits. */
  #askedUntilMs: number | undefined;
  #stopTimer: (() => void) | undefined;

  constructor({ timing, bucket, observer, onPause }: LimiterOptions) {
    this.#timing = timing;
    this.#bucket = bucket;
    this.#observer = observer;
    this.#onPause = onPause;
  }

  /** Places that are held, and requests that wait for one. */
  get load(): number {
    return this.#inFlight + this.#queue.length;
  }

  /** Nobody holds or waits for a place, and no pause is to be kept: a new limiter knows as much. */
  get isIdle(): boolean {
    return this.load === 0 && this.#timing.now() >= this.#closedUntilMs;
  }

  /** Requests that may await an answer at once, 1 to 32. */
  get window(): number {
    return Math.floor(this.#window);
  }

  /**
   * Waits for a place.
   * @param deadlineAtMs when the work must have ended, on the timing's clock. Default: never
   * @param goesFirst before those that do not, of which every fifth start is: what a push relies on must be
   *   fresh
   * @throws MirrorError `RATE_LIMITED` where the origin stays closed beyond the deadline, or was closed for
   *   longer than {@link MAX_PAUSE_MS}; the signal's fault
   */
  acquire(
    deadlineAtMs: number | undefined,
    signal: AbortSignal,
    goesFirst = false,
  ): Promise<Permit> {
    const wish = this.#observer?.waits('start');
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(abortError(signal));
        return;
      }
      const leave = (): void => {
        this.#queue.splice(this.#queue.indexOf(waiter), 1);
        reject(abortError(signal));
        this.#pump();
      };
      const settled = (): void => {
        signal.removeEventListener('abort', leave);
      };
      const waiter: Waiter = {
        goesFirst,
        deadlineAtMs: deadlineAtMs ?? Number.POSITIVE_INFINITY,
        grant: () => {
          settled();
          resolve(this.#permit(wish));
        },
        refuse: (fault) => {
          settled();
          reject(fault);
        },
      };
      signal.addEventListener('abort', leave, { once: true });
      this.#enqueue(waiter);
      this.#pump();
    });
  }

  #enqueue(waiter: Waiter): void {
    const before = waiter.goesFirst ? this.#queue.findIndex((other) => !other.goesFirst) : -1;
    this.#queue.splice(before === -1 ? this.#queue.length : before, 0, waiter);
  }

  /**
   * Nothing starts for this long (at most 10 minutes): the other side throttles. Where it asks for more,
   * nobody waits: each request would come to another such refusal, ten minutes after the one before.
   */
  close(pauseMs: number): void {
    const nowMs = this.#timing.now();
    const untilMs = nowMs + Math.min(pauseMs, MAX_PAUSE_MS);
    const isLonger = untilMs > this.#closedUntilMs;
    if (isLonger) this.#closedUntilMs = untilMs;
    if (pauseMs > MAX_PAUSE_MS) this.#askedUntilMs = nowMs + pauseMs;
    else if (isLonger) this.#onPause?.(untilMs);
    this.#pump();
  }

  /** Lets start who may; where only time is in the way, looks again then. */
  #pump(): void {
    this.#stopTimer?.();
    this.#stopTimer = undefined;
    const nowMs = this.#timing.now();
    // A clock that was set back closes nothing for longer.
    this.#closedUntilMs = Math.min(this.#closedUntilMs, nowMs + MAX_PAUSE_MS);
    if (nowMs < this.#closedUntilMs) {
      this.#refuseHopeless(nowMs);
      this.#lookAgainIn(this.#closedUntilMs - nowMs);
      return;
    }
    this.#askedUntilMs = undefined;
    while (this.#queue.length > 0 && this.#inFlight < this.window) {
      const waitMs = this.#bucket?.take(nowMs) ?? 0;
      if (waitMs > 0) {
        this.#lookAgainIn(waitMs);
        return;
      }
      this.#inFlight += 1;
      this.#next()?.grant();
    }
  }

  /** The first of the queue, or in its turn the first of those that do not go first. */
  #next(): Waiter | undefined {
    const behind = this.#queue.findIndex(({ goesFirst }) => !goesFirst);
    const isTurn = behind === 0 || (behind > 0 && this.#ahead >= MAX_AHEAD);
    this.#ahead = isTurn || behind === -1 ? 0 : this.#ahead + 1;
    return isTurn ? this.#queue.splice(behind, 1)[0] : this.#queue.shift();
  }

  #lookAgainIn(delayMs: number): void {
    if (this.#queue.length === 0) return;
    this.#stopTimer = this.#timing.setTimer(delayMs, () => {
      this.#pump();
    });
  }

  /** Who must have ended before the origin opens again is told so at once. */
  #refuseHopeless(nowMs: number): void {
    const retryAfterMs = (this.#askedUntilMs ?? this.#closedUntilMs) - nowMs;
    const hopeless = this.#queue.filter(
      ({ deadlineAtMs }) => this.#askedUntilMs !== undefined || deadlineAtMs < this.#closedUntilMs,
    );
    for (const waiter of hopeless) {
      this.#queue.splice(this.#queue.indexOf(waiter), 1);
      waiter.refuse(
        new MirrorError(
          'RATE_LIMITED',
          'the registry asked for a longer pause than there is time',
          {
            retryAfterMs,
          },
        ),
      );
    }
  }

  #permit(wish: PlaceWish | undefined): Permit {
    const epoch = this.#epoch;
    let held = true;
    wish?.taken();
    return {
      free: () => {
        if (!held) return;
        held = false;
        this.#inFlight -= 1;
        wish?.freed();
        this.#pump();
      },
      learn: (load) => {
        if (load === 'ok') this.#grow();
        if (load === 'congested' && epoch === this.#epoch) this.#halve();
      },
    };
  }

  #grow(): void {
    const step = this.#epoch === 0 ? 1 : 1 / this.#window;
    this.#window = Math.min(MAX, this.#window + step);
    this.#pump();
  }

  #halve(): void {
    this.#window = Math.max(1, this.#window / 2);
    this.#epoch += 1;
  }
}
