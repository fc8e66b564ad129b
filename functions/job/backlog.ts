import { REVISION_CHANGED, type MirrorEvent } from '../contract/event.ts';
import { newestOf, objectKey, type Arrival, type Compares } from '../contract/newest.ts';

/** Work of the drain: an event, and the messages that it stands for. */
export interface BacklogEntry<M> {
  readonly event: MirrorEvent;
  /** Settled together: the event's own message and those of older events that it replaces. */
  readonly messages: readonly M[];
}

interface Received<M> extends Arrival {
  readonly message: M;
}

/**
 * Events that wait for a worker. Of `revision.changed` events of one object only the newest is
 * executed, with the strongest reason among them; every `tags.requested` is. What is being executed
 * is no longer here, so that a later event of its object is executed after it.
 */
export class Backlog<M> {
  readonly #objects = new Map<string, [Received<M>, ...Received<M>[]]>();
  readonly #compares: Compares;
  #batches: BacklogEntry<M>[] = [];

  /** @param compares what an event has compared */
  constructor(compares: Compares) {
    this.#compares = compares;
  }

  /** How many events wait. */
  get size(): number {
    return this.#objects.size + this.#batches.length;
  }

  /** @param arrivedAtMs when the event came to the broker, milliseconds since 1970 */
  add(event: MirrorEvent, message: M, arrivedAtMs: number): void {
    if (event.type !== REVISION_CHANGED) {
      this.#batches.push({ event, messages: [message] });
      return;
    }
    const received = { event, message, arrivedAtMs };
    const waiting = this.#objects.get(objectKey(event));
    if (waiting === undefined) this.#objects.set(objectKey(event), [received]);
    else waiting.push(received);
  }

  /** The next event in the order of arrival: a whole repository that `mayStart` allows, else a batch. */
  take(mayStart: (event: MirrorEvent) => boolean): BacklogEntry<M> | undefined {
    for (const [key, received] of this.#objects) {
      if (!mayStart(received[0].event)) continue;
      this.#objects.delete(key);
      return entryOf(received, this.#compares);
    }
    return this.#batches.shift();
  }

  /** Takes all that waits. */
  clear(): readonly BacklogEntry<M>[] {
    const all = [
      ...[...this.#objects.values()].map((received) => entryOf(received, this.#compares)),
      ...this.#batches,
    ];
    this.#objects.clear();
    this.#batches = [];
    return all;
  }
}

function entryOf<M>(
  received: readonly [Received<M>, ...Received<M>[]],
  compares: Compares,
): BacklogEntry<M> {
  return {
    event: newestOf(received, compares).event,
    messages: received.map(({ message }) => message),
  };
}
