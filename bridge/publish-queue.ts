import { strongerReason, type Reason, type Verify } from '../functions/contract/event.ts';
import type { Publishable, PublishedState } from './request.ts';

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

/** An object whose events are published. The tracker keeps it up to date while its event waits. */
export interface Subject {
  readonly uid: string;
  /** What may be published of it now; undefined: nothing. */
  readonly publishable: Publishable | undefined;
  /** What was published last. */
  readonly published: PublishedState | undefined;
}

/** What waits of one object, for the strongest reason. */
export interface WaitingEvent {
  readonly subject: Subject;
  readonly reason: Reason;
  readonly urgency: Urgency;
  /** Since when it waits with this urgency, ms of a monotonic clock. */
  readonly sinceMs: number;
  readonly requestedAt?: string | undefined;
  readonly resyncSlot?: number | undefined;
  /** Which tags at the destination are compared; undefined: as the reason has it. */
  readonly verify?: Verify | undefined;
}

/** What is taken out to be published: the object as it is at that moment. */
export interface TakenEvent extends WaitingEvent {
  readonly publishable: Publishable;
  readonly previousRevision: string | undefined;
}

/** A new decision to publish. */
export interface Offer {
  readonly subject: Subject;
  readonly reason: Reason;
  readonly nowMs: number;
  readonly requestedAt?: string | undefined;
  readonly resyncSlot?: number | undefined;
  readonly verify?: Verify | undefined;
}

/** The topic for an urgency: only the replay takes the bulk lane. */
export function laneOf(urgency: Urgency): Lane {
  return urgency === 'replay' ? 'bulk' : 'events';
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
  readonly #inFlight = new Map<string, TakenEvent>();

  /** Adds a decision; one that waits already is replaced and its reason kept where it is stronger. */
  offer(offer: Offer): void {
    const event: WaitingEvent = {
      subject: offer.subject,
      reason: offer.reason,
      urgency: URGENCY_OF[offer.reason],
      sinceMs: offer.nowMs,
      requestedAt: offer.requestedAt,
      resyncSlot: offer.resyncSlot,
      verify: offer.verify,
    };
    const before = this.waiting(offer.subject.uid);
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

  /** What is being published of an object. */
  inFlight(uid: string): TakenEvent | undefined {
    return this.#inFlight.get(uid);
  }

  /**
   * Takes up to `limit` events of one urgency, the oldest first; they are in flight from then on. What
   * may not be published any more is dropped.
   */
  take(urgency: Urgency, limit: number): readonly TakenEvent[] {
    const taken: TakenEvent[] = [];
    for (const [uid, event] of this.#waiting[urgency]) {
      if (taken.length >= limit) break;
      if (this.#inFlight.has(uid)) continue;
      this.#waiting[urgency].delete(uid);
      const { publishable, published } = event.subject;
      const isPaused = publishable?.object.suspended === true && urgency !== 'change';
      if (publishable === undefined || isPaused) continue;
      const outgoing = { ...event, publishable, previousRevision: published?.revision };
      this.#inFlight.set(uid, outgoing);
      taken.push(outgoing);
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
      this.#waiting[replaced.urgency].delete(event.subject.uid);
    }
    this.#waiting[event.urgency].set(event.subject.uid, event);
  }
}

/** The stronger reason and the greater urgency of two events of one object. */
function merged(older: WaitingEvent, newer: WaitingEvent): WaitingEvent {
  const isAsUrgent = URGENCIES.indexOf(older.urgency) <= URGENCIES.indexOf(newer.urgency);
  const { urgency, sinceMs } = isAsUrgent ? older : newer;
  return {
    subject: newer.subject,
    reason: strongerReason(older.reason, newer.reason),
    urgency,
    sinceMs,
    requestedAt: newer.requestedAt ?? older.requestedAt,
    resyncSlot: newer.resyncSlot ?? older.resyncSlot,
    // As where events replace each other behind the topic: who asked for all tags gets them compared.
    verify: older.verify === 'all' ? 'all' : (newer.verify ?? older.verify),
  };
}
