import { REVISION_CHANGED, strongerReason, type MirrorEvent } from '../contract/event.ts';

/** Work of the drain: an event, and the messages that it stands for. */
export interface BacklogEntry<M> {
  readonly event: MirrorEvent;
  /** Settled together: the event's own message and those of older events that it replaces. */
  readonly messages: readonly M[];
}

/**
 * Events that wait for a worker. Of `revision.changed` events of one object only the newest is
 * kept, with the strongest reason among them; every `tags.requested` is. What is being executed is
 * no longer here, so that a later event of its object is executed after it.
 */
export class Backlog<M> {
  readonly #objects = new Map<string, BacklogEntry<M>>();
  #batches: BacklogEntry<M>[] = [];

  /** How many events wait. */
  get size(): number {
    return this.#objects.size + this.#batches.length;
  }

  add(event: MirrorEvent, message: M): void {
    if (event.type !== REVISION_CHANGED) {
      this.#batches.push({ event, messages: [message] });
      return;
    }
    const { uid } = event.data.imageRepository;
    const waiting = this.#objects.get(uid);
    this.#objects.set(
      uid,
      waiting === undefined ? { event, messages: [message] } : merged(waiting, event, message),
    );
  }

  /** The next event that `mayStart` allows, in the order of arrival; whole repositories first. */
  take(mayStart: (event: MirrorEvent) => boolean): BacklogEntry<M> | undefined {
    for (const [uid, entry] of this.#objects) {
      if (!mayStart(entry.event)) continue;
      this.#objects.delete(uid);
      return entry;
    }
    const index = this.#batches.findIndex(({ event }) => mayStart(event));
    return index === -1 ? undefined : this.#batches.splice(index, 1)[0];
  }

  /** Takes all that waits. */
  clear(): readonly BacklogEntry<M>[] {
    const all = [...this.#objects.values(), ...this.#batches];
    this.#objects.clear();
    this.#batches = [];
    return all;
  }
}

function merged<M>(waiting: BacklogEntry<M>, event: MirrorEvent, message: M): BacklogEntry<M> {
  const newest = Date.parse(event.time) >= Date.parse(waiting.event.time) ? event : waiting.event;
  const reason = strongerReason(waiting.event.data.reason, event.data.reason);
  return {
    event: { ...newest, data: { ...newest.data, reason } },
    messages: [...waiting.messages, message],
  };
}
