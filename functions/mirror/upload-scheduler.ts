import { abortError, type PlaceObserver, type PlaceWish } from '../concurrency.ts';

/** Blobs under 1 MiB use a lane of their own, so that configs never wait behind layers. */
const SMALL_BLOB_BYTES = 1024 * 1024;

/** Streams of small blobs and of large ones; together the 16 of a process. */
export interface LaneWidths {
  readonly small: number;
  readonly large: number;
}

/** At most 16 blob streams a process, half of them for blobs under 1 MiB. */
const DEFAULT_LANE_WIDTHS: LaneWidths = { small: 8, large: 8 };

/** So many source hosts find a place in a lane, however slow the others are. */
const HOSTS_WITH_PLACE = 3;

/** A wish for one stream. */
export interface StreamWish {
  /** The event that wishes; one object an event. */
  readonly event: object;
  /** Host of the source's registry. */
  readonly sourceHost: string;
  readonly sizeBytes: number;
}

/** A wish for a place that may come. */
export interface Expected {
  /** Whether there was a place for it, beside all that hold, wait for or expect one. */
  readonly hasPlace: boolean;
  /** It has come, or will not; a second call does nothing. */
  end(): void;
}

/**
 * The bodies: one place per blob, taken once for both sides before either connection is opened, and
 * kept by a download that is resumed. A free place goes to the source host that holds the fewest, and
 * of its events to the one that was served longest ago. The last places of a lane go to hosts that hold
 * none of it, since a place that trickles cannot be taken away: one host leaves two places to others,
 * and two leave one.
 */
export class UploadScheduler {
  readonly #small: Lane;
  readonly #large: Lane;

  constructor(widths: LaneWidths = DEFAULT_LANE_WIDTHS, observer?: PlaceObserver) {
    this.#small = new Lane(widths.small, observer);
    this.#large = new Lane(widths.large, observer);
  }

  /** Places that are held, and blobs that wait for one. */
  get load(): number {
    return this.#small.load + this.#large.load;
  }

  /** Waits for a place; the answer gives it back. @throws MirrorError the signal's */
  acquire(wish: StreamWish, signal: AbortSignal): Promise<() => void> {
    return this.#laneOf(wish).acquire(wish, signal);
  }

  /** A blob may want a place soon; `end` says that it has asked for one, or wants none. */
  expect(wish: Pick<StreamWish, 'sizeBytes'>): Expected {
    return this.#laneOf(wish).expect();
  }

  #laneOf({ sizeBytes }: Pick<StreamWish, 'sizeBytes'>): Lane {
    return sizeBytes < SMALL_BLOB_BYTES ? this.#small : this.#large;
  }
}

interface Waiting {
  readonly wish: StreamWish;
  readonly grant: () => void;
}

class Lane {
  readonly #width: number;
  readonly #observer: PlaceObserver | undefined;
  readonly #held = new Map<string, number>();
  /** In the order of coming. */
  readonly #waiting = new Set<Waiting>();
  /** When each event was last served, as a number in the order of serving. */
  readonly #served = new WeakMap<object, number>();
  #turn = 0;
  #taken = 0;
  #expected = 0;

  constructor(width: number, observer: PlaceObserver | undefined) {
    this.#width = width;
    this.#observer = observer;
  }

  get load(): number {
    return this.#taken + this.#waiting.size;
  }

  /** Of the places, one host has all but those that are left for others. */
  expect(): Expected {
    const hasPlace = this.load + this.#expected < this.#width - (HOSTS_WITH_PLACE - 1);
    let expected = true;
    this.#expected += 1;
    return {
      hasPlace,
      end: () => {
        if (expected) this.#expected -= 1;
        expected = false;
      },
    };
  }

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
          resolve(this.#take(wish.sourceHost, place));
        },
      };
      signal.addEventListener('abort', leave, { once: true });
      this.#waiting.add(waiting);
      this.#pump();
    });
  }

  #take(sourceHost: string, place: PlaceWish | undefined): () => void {
    let held = true;
    place?.taken();
    return () => {
      if (!held) return;
      held = false;
      this.#taken -= 1;
      const left = this.#heldBy(sourceHost) - 1;
      if (left === 0) this.#held.delete(sourceHost);
      else this.#held.set(sourceHost, left);
      place?.freed();
      this.#pump();
    };
  }

  #pump(): void {
    while (this.#taken < this.#width) {
      const next = this.#next();
      if (next === undefined) return;
      const { event, sourceHost } = next.wish;
      this.#taken += 1;
      this.#held.set(sourceHost, this.#heldBy(sourceHost) + 1);
      this.#turn += 1;
      this.#served.set(event, this.#turn);
      this.#waiting.delete(next);
      next.grant();
    }
  }

  /** Who is next: of the source with the fewest places, of the event that waited longest for its turn. */
  #next(): Waiting | undefined {
    const left = this.#width - this.#taken;
    const onlyForNew = this.#held.size > 0 && left <= HOSTS_WITH_PLACE - this.#held.size;
    let best: Waiting | undefined;
    for (const waiting of this.#waiting) {
      if (onlyForNew && this.#heldBy(waiting.wish.sourceHost) > 0) continue;
      if (best === undefined || this.#precedes(waiting.wish, best.wish)) best = waiting;
    }
    return best;
  }

  #precedes(one: StreamWish, other: StreamWish): boolean {
    const places = this.#heldBy(one.sourceHost) - this.#heldBy(other.sourceHost);
    if (places !== 0) return places < 0;
    return (this.#served.get(one.event) ?? 0) < (this.#served.get(other.event) ?? 0);
  }

  #heldBy(sourceHost: string): number {
    return this.#held.get(sourceHost) ?? 0;
  }
}
