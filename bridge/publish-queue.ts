import { strongerReason, type Reason } from '../functions/contract/event.ts';
import type { PublishedState } from './request.ts';

/** The topics, each with its own instances behind it. */
export type Lane = 'events' | 'bulk';

/** What goes first: real changes, then follow-ups, then resync, then the replay on start. */
export const URGENCIES = ['change', 'follow-up', 'resync', 'replay'] as const;

/** See {@link URGENCIES}. */
export type Urgency = (typeof URGENCIES)[number];

const URGENCY_OF: Readonly<Record<Reason, Urgency>> = {
  requested: 'change',
  changed: 'change',
  configured: 'change',
  'follow-up': 'follow-up',
  resync: 'resync',
  initial: 'replay',
};

/** What is to be published of one object: of its newest state, for the strongest reason. */
export interface WaitingEvent {
  readonly uid: string;
  readonly reason: Reason;
  readonly urgency: Urgency;
  /** The newest state decided upon; what is published is the object's state at that moment. */
  readonly state: PublishedState;
  /** Since when it waits with this urgency, ms of a monotonic clock. */
  readonly sinceMs: number;
  readonly requestedAt?: string | undefined;
  readonly resyncSlot?: number | undefined;
}

/** A new decision to publish. */
export interface Offer {
  readonly uid: string;
  readonly reason: Reason;
  readonly state: PublishedState;
  readonly nowMs: number;
  readonly requestedAt?: string | undefined;
  readonly resyncSlot?: number | undefined;
}

/** The topic for an urgency: only the replay takes the bulk lane. */
export function laneOf(urgency: Urgency): Lane {
  return urgency === 'replay' ? 'bulk' : 'events';
}

/** Whether two states are the same. */
export function sameState(left: PublishedState, right: PublishedState): boolean {
  return (
    left.image === right.image &&
    left.revision === right.revision &&
    left.configurationDigest === right.configurationDigest
  );
}

/**
 * Events that wait to be published: at most one an object, so that its size is bounded by the
 * number of objects however long nothing can be published. What was taken is in flight until it is
 * settled or given back; meanwhile nothing else of that object is taken.
 */
export class PublishQueue {
  readonly #waiting: Readonly<Record<Urgency, Map<string, WaitingEvent>>> = {
    change: new Map(),
    'follow-up': new Map(),
    resync: new Map(),
    replay: new Map(),
  };
  readonly #inFlight = new Map<string, WaitingEvent>();

  /** Adds a decision; one that waits already is replaced and its reason kept where it is stronger. */
  offer(offer: Offer): void {
    const event: WaitingEvent = {
      uid: offer.uid,
      reason: offer.reason,
      urgency: URGENCY_OF[offer.reason],
      state: offer.state,
      sinceMs: offer.nowMs,
      requestedAt: offer.requestedAt,
      resyncSlot: offer.resyncSlot,
    };
    const before = this.waiting(offer.uid);
    this.#put(before === undefined ? event : merged(before, event), before);
  }

  /** What waits of an object. */
  waiting(uid: string): WaitingEvent | undefined {
    for (const urgency of URGENCIES) {
      const event = this.#waiting[urgency].get(uid);
      if (event !== undefined) return event;
    }
    return undefined;
  }

  /** Makes a request that waits a change like any other. */
  weaken(uid: string): void {
    const event = this.waiting(uid);
    if (event?.reason !== 'requested') return;
    this.#put({ ...event, reason: 'changed', requestedAt: undefined }, event);
  }

  /** Takes up to `limit` events of one urgency, the oldest first; they are in flight from then on. */
  take(urgency: Urgency, limit: number): readonly WaitingEvent[] {
    const taken: WaitingEvent[] = [];
    for (const event of this.#waiting[urgency].values()) {
      if (taken.length >= limit) break;
      if (!this.#inFlight.has(event.uid)) taken.push(event);
    }
    for (const event of taken) {
      this.#waiting[urgency].delete(event.uid);
      this.#inFlight.set(event.uid, event);
    }
    return taken;
  }

  /** What was taken was published, or is not to be published any more. */
  settle(uid: string): void {
    this.#inFlight.delete(uid);
  }

  /** What was taken could not be published: it waits again, merged with what came meanwhile. */
  giveBack(uid: string): void {
    const event = this.#inFlight.get(uid);
    if (event === undefined) return;
    this.#inFlight.delete(uid);
    const newer = this.waiting(uid);
    this.#put(newer === undefined ? event : merged(event, newer), newer);
  }

  /** Forgets an object. */
  drop(uid: string): void {
    for (const urgency of URGENCIES) this.#waiting[urgency].delete(uid);
  }

  /** How many wait of an urgency. */
  depth(urgency: Urgency): number {
    return this.#waiting[urgency].size;
  }

  /** Since when the oldest unpublished event waits; undefined where there is none. */
  oldestSinceMs(urgencies: readonly Urgency[] = URGENCIES): number | undefined {
    let oldest = Infinity;
    for (const urgency of urgencies) {
      for (const { sinceMs } of this.#waiting[urgency].values()) oldest = Math.min(oldest, sinceMs);
    }
    for (const { urgency, sinceMs } of this.#inFlight.values()) {
      if (urgencies.includes(urgency)) oldest = Math.min(oldest, sinceMs);
    }
    return oldest === Infinity ? undefined : oldest;
  }

  #put(event: WaitingEvent, replaced: WaitingEvent | undefined): void {
    if (replaced !== undefined && replaced.urgency !== event.urgency) {
      this.#waiting[replaced.urgency].delete(event.uid);
    }
    this.#waiting[event.urgency].set(event.uid, event);
  }
}

/** The newer state with the stronger reason and the greater urgency of two events of one object. */
function merged(older: WaitingEvent, newer: WaitingEvent): WaitingEvent {
  const [more, less] =
    URGENCIES.indexOf(older.urgency) <= URGENCIES.indexOf(newer.urgency)
      ? [older, newer]
      : [newer, older];
  return {
    uid: newer.uid,
    reason: strongerReason(older.reason, newer.reason),
    urgency: more.urgency,
    state: newer.state,
    sinceMs: more.urgency === less.urgency ? Math.min(more.sinceMs, less.sinceMs) : more.sinceMs,
    requestedAt: newer.requestedAt ?? older.requestedAt,
    resyncSlot: newer.resyncSlot ?? older.resyncSlot,
  };
}
