import { KeyedMutex } from '../concurrency.ts';
import type { Clock, DestinationRepository } from './ports.ts';

/**
 * How old an answer may be that a push relies on, milliseconds: what is older is asked again. It is
 * also how long a push of this process is remembered.
 */
export const FRESH_MS = 5000;

/**
 * Lets two pieces of work of the process look at and push one destination tag one after the other,
 * and tells each of them whether the other has pushed meanwhile.
 */
export class TagTurns {
  readonly #clock: Clock;
  readonly #mutex = new KeyedMutex();
  /** Time of the last push by tag, in the order of pushing. */
  readonly #pushes = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** How many tags somebody is at. */
  get size(): number {
    return this.#mutex.size;
  }

  /** Does the work alone among all that concerns this tag. @throws the signal's fault, and the work's */
  run<T>(
    destination: DestinationRepository,
    tag: string,
    signal: AbortSignal,
    work: () => Promise<T>,
  ): Promise<T> {
    return this.#mutex.run(keyOf(destination, tag), signal, work);
  }

  /** The tag was pushed now. */
  pushed(destination: DestinationRepository, tag: string): void {
    const key = keyOf(destination, tag);
    const nowMs = this.#clock();
    this.#pushes.delete(key);
    this.#pushes.set(key, nowMs);
    for (const [oldest, atMs] of this.#pushes) {
      if (nowMs - atMs <= FRESH_MS) break;
      this.#pushes.delete(oldest);
    }
  }

  /** Whether what was learnt at this time must be asked again: it is too old, or the tag was pushed since. */
  isStale(destination: DestinationRepository, tag: string, learntAtMs: number): boolean {
    if (this.#clock() - learntAtMs > FRESH_MS) return true;
    const pushedAtMs = this.#pushes.get(keyOf(destination, tag));
    return pushedAtMs !== undefined && pushedAtMs >= learntAtMs;
  }
}

function keyOf({ name }: DestinationRepository, tag: string): string {
  return `${name}:${tag}`;
}
