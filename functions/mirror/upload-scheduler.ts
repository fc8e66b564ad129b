import { abortError, type PlaceObserver, type PlaceWish } from '../concurrency.ts';

/** Blobs of 1 MiB and more are large: they leave places to small ones, so that configs never wait behind layers. */
const LARGE_BLOB_BYTES = 1024 * 1024;

/** How many streams there are at once. */
export interface StreamLimits {
  /** Of blobs of every size. */
  readonly all: number;
  /** Of large ones. */
  readonly large: number;
}

/** At most 16 blob streams a process (design section 8.8), of which large ones leave four. */
const DEFAULT_LIMITS: StreamLimits = { all: 16, large: 12 };

/** So many source hosts find a place, and one for a large blob, however slow the others are. */
const HOSTS_WITH_PLACE = 3;

/** A wish for one stream. */
export interface StreamWish {
  /** The event that wishes; one object an event. */
  readonly event: object;
  /** Host of the source's registry. */
  readonly sourceHost: string;
  readonly sizeBytes: number;
}

/**
 * The bodies: one place per blob, taken once for both sides before either connection is opened, and
 * kept by a download that is resumed. A free place goes to the source host that holds the fewest, and
 * of its events to the one that was served longest ago. The last places go to hosts that hold none,
 * since a place that trickles cannot be taken away: one host leaves two places to others, and two
 * leave one; of those for large blobs too.
 */
export class UploadScheduler {
  readonly #all: Places;
  readonly #large: Places;
  readonly #observer: PlaceObserver | undefined;
  /** In the order of coming. */
  readonly #waiting = new Set<Waiting>();
  /** When each event was last served, as a number in the order of serving. */
  readonly #served = new WeakMap<object, number>();
  #turn = 0;

  constructor(limits: StreamLimits = DEFAULT_LIMITS, observer?: PlaceObserver) {
    this.#all = new Places(limits.all);
    this.#large = new Places(limits.large);
    this.#observer = observer;
  }

  /** Places that are held, and blobs that wait for one. */
  get load(): number {
    return this.#all.taken + this.#waiting.size;
  }

  /** Places that nobody holds or waits for; less than 0 where more wait than there are. */
  get free(): number {
    return this.#all.width - this.load;
  }

  /** Waits for a place; the answer gives it back. @throws MirrorError the signal's */
  acquire(wish: StreamWish, signal: AbortSignal): Promise<() => void> {
    const place = this.#observer?.waits('body');
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(abortError(signal));
        return;
      }
      const leave = (): void => {
        this.#waiting.delete(waiting);
        reject(abortError(signal));
      };
      const waiting: Waiting = {
        wish,
        grant: () => {
          signal.removeEventListener('abort', leave);
          resolve(this.#take(wish, place));
        },
      };
      signal.addEventListener('abort', leave, { once: true });
      this.#waiting.add(waiting);
      this.#pump();
    });
  }

  #take(wish: StreamWish, place: PlaceWish | undefined): () => void {
    let held = true;
    place?.taken();
    return () => {
      if (!held) return;
      held = false;
      for (const places of this.#placesFor(wish)) places.giveBack(wish.sourceHost);
      place?.freed();
      this.#pump();
    };
  }

  #pump(): void {
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      const { wish } = next;
      for (const places of this.#placesFor(wish)) places.take(wish.sourceHost);
      this.#turn += 1;
      this.#served.set(wish.event, this.#turn);
      this.#waiting.delete(next);
      next.grant();
    }
  }

  /** Who is next: of the source with the fewest places, of the event that waited longest for its turn. */
  #next(): Waiting | undefined {
    let best: Waiting | undefined;
    for (const waiting of this.#waiting) {
      const { wish } = waiting;
      if (!this.#placesFor(wish).every((places) => places.isFreeFor(wish.sourceHost))) continue;
      if (best === undefined || this.#precedes(wish, best.wish)) best = waiting;
    }
    return best;
  }

  #placesFor({ sizeBytes }: StreamWish): readonly Places[] {
    return sizeBytes < LARGE_BLOB_BYTES ? [this.#all] : [this.#all, this.#large];
  }

  #precedes(one: StreamWish, other: StreamWish): boolean {
    const places = this.#all.heldBy(one.sourceHost) - this.#all.heldBy(other.sourceHost);
    if (places !== 0) return places < 0;
    return (this.#served.get(one.event) ?? 0) < (this.#served.get(other.event) ?? 0);
  }
}

interface Waiting {
  readonly wish: StreamWish;
  readonly grant: () => void;
}

/** Places that source hosts share. */
class Places {
  readonly width: number;
  #taken = 0;
  readonly #held = new Map<string, number>();

  constructor(width: number) {
    this.width = width;
  }

  get taken(): number {
    return this.#taken;
  }

  heldBy(sourceHost: string): number {
    return this.#held.get(sourceHost) ?? 0;
  }

  /** Whether there is one, and not for those alone that hold none. */
  isFreeFor(sourceHost: string): boolean {
    const left = this.width - this.#taken;
    const isForNew = this.#held.size > 0 && left <= HOSTS_WITH_PLACE - this.#held.size;
    return left > 0 && !(isForNew && this.#held.has(sourceHost));
  }

  take(sourceHost: string): void {
    this.#taken += 1;
    this.#held.set(sourceHost, this.heldBy(sourceHost) + 1);
  }

  giveBack(sourceHost: string): void {
    this.#taken -= 1;
    const left = this.heldBy(sourceHost) - 1;
    if (left === 0) this.#held.delete(sourceHost);
    else this.#held.set(sourceHost, left);
  }
}
