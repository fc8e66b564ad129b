/** A started timer. */
export interface Timer {
  /** Stops it; a timer that has run already stays as it is. */
  cancel(): void;
}

/** What the stand-in knows of time, so that a test can advance it. */
export interface Clock {
  /** Milliseconds since the epoch. */
  nowMs(): number;
  /** Runs `run` once, `delayMs` from now (0 or less: as soon as possible, never at once). */
  after(delayMs: number, run: () => void): Timer;
}

/** The longest delay of a Node timer: a signed 32-bit number of milliseconds, some 24.8 days. */
const LONGEST_DELAY_MS = 2 ** 31 - 1;

/** The machine's clock. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  after: (delayMs, run) => {
    const timer = setTimeout(run, Math.min(Math.max(delayMs, 0), LONGEST_DELAY_MS));
    return {
      cancel: () => {
        clearTimeout(timer);
      },
    };
  },
};

interface Pending {
  readonly atMs: number;
  readonly run: () => void;
}

/** A clock that stands still until it is advanced: ten minutes of back-off cost a test nothing. */
export class ManualClock implements Clock {
  #nowMs: number;
  readonly #pending = new Set<Pending>();

  /** Starts at `startMs` since the epoch; default 2026-01-01T00:00:00Z. */
  constructor(startMs: number = Date.UTC(2026, 0, 1)) {
    this.#nowMs = startMs;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, run: () => void): Timer {
    const pending: Pending = { atMs: this.#nowMs + Math.max(delayMs, 0), run };
    this.#pending.add(pending);
    return {
      cancel: () => {
        this.#pending.delete(pending);
      },
    };
  }

  /** Moves on by `durationMs`, running what becomes due in the order of its time. */
  advance(durationMs: number): void {
    const endMs = this.#nowMs + durationMs;
    for (let next = this.#nextBefore(endMs); next !== undefined; next = this.#nextBefore(endMs)) {
      this.#pending.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.run();
    }
    this.#nowMs = endMs;
  }

  /** How many timers are started and have not run. */
  get timers(): number {
    return this.#pending.size;
  }

  #nextBefore(endMs: number): Pending | undefined {
    let next: Pending | undefined;
    for (const pending of this.#pending) {
      if (pending.atMs <= endMs && (next === undefined || pending.atMs < next.atMs)) next = pending;
    }
    return next;
  }
}
