import type { Clock } from './ports.ts';

/** How far back the rate looks, in milliseconds: long enough to span a slow start. */
const WINDOW_MS = 10_000;
/** A bucket of the window, in milliseconds. */
const BUCKET_MS = 100;
/** Before so much was seen, there is no rate: half a second, ... */
const MIN_SEEN_MS = 500;
/** ... and a fair number of bytes, so that latency is not taken for bandwidth. */
const MIN_SEEN_BYTES = 256 * 1024;

interface Bucket {
  readonly startMs: number;
  bytes: number;
}

/** Measures what the process's large transfers send together. */
export class Pace {
  readonly #clock: Clock;
  #buckets: Bucket[] = [];
  #streams = 0;
  /** Start of the time in which at least one stream was under way without a break. */
  #busySinceMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A large transfer starts. */
  started(): void {
    if (this.#streams === 0) {
      this.#busySinceMs = this.#clock();
      this.#buckets = [];
    }
    this.#streams += 1;
  }

  /** A large transfer ends, whatever came of it. */
  ended(): void {
    this.#streams -= 1;
  }

  /** So many bytes were sent. True from time to time: the rate is worth another look. */
  sent(bytes: number): boolean {
    const nowMs = this.#clock();
    const last = this.#buckets.at(-1);
    if (last !== undefined && nowMs - last.startMs < BUCKET_MS) {
      last.bytes += bytes;
      return false;
    }
    this.#buckets.push({ startMs: nowMs, bytes });
    const first = this.#buckets[0];
    if (first !== undefined && first.startMs < nowMs - WINDOW_MS) this.#buckets.shift();
    return true;
  }

  /** Bytes per second of the last seconds; undefined before enough was seen. */
  bytesPerSecond(): number | undefined {
    const nowMs = this.#clock();
    const sinceMs = Math.max(this.#busySinceMs, nowMs - WINDOW_MS);
    const seenMs = nowMs - sinceMs;
    const bytes = this.#buckets.reduce(
      (sum, bucket) => (bucket.startMs >= sinceMs ? sum + bucket.bytes : sum),
      0,
    );
    if (seenMs < MIN_SEEN_MS || bytes < MIN_SEEN_BYTES) return undefined;
    return (bytes * 1000) / seenMs;
  }
}
