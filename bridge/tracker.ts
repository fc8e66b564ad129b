import type { DestinationLayout } from '../functions/contract/destination.ts';
import type { MirrorEvent, Reason } from '../functions/contract/event.ts';
import { isMirrorError, type MirrorError } from '../functions/errors.ts';
import type { Logger } from '../functions/telemetry/logger.ts';
import { decide, type Decision } from './decide.ts';
import { DestinationClaims, NO_REFUSALS, type Refusal } from './destination-claims.ts';
import { objectFields, succeeding, type ImageRepository } from './flux/image-repository.ts';
import type { WatchHandler } from './flux/watcher.ts';
import type { Metrics } from './metrics.ts';
import type { PublishObserver } from './publish-loop.ts';
import type { PublishQueue, Subject, TakenEvent, WaitingEvent } from './publish-queue.ts';
import { Repeats, type RepeatOptions } from './repeats.ts';
import { isSameState, publishableOf, type Publishable, type PublishedState } from './request.ts';

/** Told of objects that are refused, and of those that are no longer. */
export interface RefusalReporter {
  refused(object: ImageRepository, refusal: Refusal): void;
  mended(uid: string): void;
}

/** Where decisions go, and what they depend on besides the objects. */
export interface TrackerOptions extends RepeatOptions {
  readonly queue: PublishQueue;
  readonly refusals: RefusalReporter;
  readonly logger: Logger;
  readonly metrics: Pick<Metrics, 'decisions'>;
  readonly destinationLayout: DestinationLayout;
  /** False: objects of the first list count as published. */
  readonly replayOnStart: boolean;
  /** Whether this replica is the one that publishes. */
  readonly isLeading: () => boolean;
  /** Called when something was offered to the queue. */
  readonly onOffer: () => void;
  /** Monotonic clock, ms. */
  readonly now: () => number;
  /** Wall clock, ms. */
  readonly wallNow: () => number;
}

/** Why an object is published without having changed, and the cause that is counted. */
const REPEATS = { resync: 'Resync', 'follow-up': 'FollowUp', initial: 'TakenOver' } as const;

/** Longer than a roll-out or the failure of a node takes. */
const RECENT_REQUEST_MS = 3_600_000;

/** All that is kept of one object. */
interface Tracked extends Subject {
  object: ImageRepository;
  publishable: Publishable | undefined;
  published: PublishedState | undefined;
  /**
   * What a change is told by while nothing of it counts as published: the state that it was first seen
   * with, or had when it was suspended, disabled or refused.
   */
  baseline: PublishedState | undefined;
  /** What could not be published because it is too large: nothing is until it changes. */
  tooLarge: { readonly state: PublishedState; readonly refusal: Refusal } | undefined;
  requestedAt: string | undefined;
  /** When that was seen by a replica that stood by, ms of the monotonic clock. */
  requestSeenAtMs: number | undefined;
  firstSeen: boolean;
  refusal: Refusal | undefined;
  readonly repeats: Repeats;
}

/**
 * Keeps what is known of every object. Each change is judged once: what may be published of the object
 * from now on, and whether it is. What is to be published is offered to the queue.
 */
export class Tracker implements WatchHandler, PublishObserver {
  readonly #options: TrackerOptions;
  readonly #tracked = new Map<string, Tracked>();
  readonly #claims: DestinationClaims;
  #syncedOnce = false;
  #tickedAtMs: number;

  constructor(options: TrackerOptions) {
    this.#options = options;
    this.#claims = new DestinationClaims(options.destinationLayout);
    this.#tickedAtMs = options.wallNow();
  }

  /** How many objects are watched. */
  get size(): number {
    return this.#tracked.size;
  }

  /** Whether the list was complete at least once. */
  get isSynced(): boolean {
    return this.#syncedOnce;
  }

  /** How many objects are refused, by reason. */
  refusedCounts(): typeof NO_REFUSALS {
    const counts = { ...NO_REFUSALS };
    for (const { refusal } of this.#tracked.values()) {
      if (refusal !== undefined) counts[refusal.reason] += 1;
    }
    return counts;
  }

  listed(object: ImageRepository): void {
    // Decided upon when the list is complete: only then is known who shares a destination.
    this.#store(object);
  }

  synced(uids: ReadonlySet<string>): void {
    for (const uid of [...this.#tracked.keys()]) {
      if (!uids.has(uid)) this.#forget(uid);
    }
    for (const { object } of this.#tracked.values()) this.#claims.enter(object);
    for (const tracked of this.#tracked.values()) this.#decide(tracked);
    if (this.#syncedOnce) return;
    this.#syncedOnce = true;
    this.#tickedAtMs = this.#options.wallNow();
    this.#options.logger.info('watching ImageRepositories', { objects: this.size });
  }

  changed(object: ImageRepository): void {
    const tracked = this.#store(object);
    this.#decideAgain(this.#claims.enter(tracked.object));
    this.#decide(tracked);
  }

  deleted(uid: string): void {
    this.#decideAgain(this.#forget(uid));
  }

  /**
   * This replica publishes from now on: everything, as on a first start, since it knows only what it
   * published itself. What it has never published waits in the queue already, what changed while it stood
   * by with the urgency of a change. So only what counts as published is offered here.
   */
  takeOver(): void {
    for (const tracked of this.#tracked.values()) this.#weakenOldRequest(tracked);
    if (!this.#options.replayOnStart) return;
    // The replay stands for the resyncs that became due meanwhile.
    this.#tickedAtMs = this.#options.wallNow();
    for (const tracked of this.#tracked.values()) {
      if (tracked.published !== undefined) this.#repeat(tracked, 'initial', undefined);
    }
  }

  /**
   * Offers the resyncs and follow-ups that have become due; to be called about once a second by a
   * replica that publishes.
   */
  tick(): void {
    const { now, wallNow } = this.#options;
    const beforeMs = this.#tickedAtMs;
    this.#tickedAtMs = wallNow();
    for (const tracked of this.#tracked.values()) {
      if (tracked.repeats.takeFollowUp(now())) this.#repeat(tracked, 'follow-up', undefined);
      const slot = tracked.repeats.resyncBetween(beforeMs, this.#tickedAtMs);
      if (slot !== undefined) this.#repeat(tracked, 'resync', slot);
    }
  }

  accepted(taken: TakenEvent, event: MirrorEvent): void {
    const { imageRepository, image, revision, reason, tagCount } = event.data;
    this.#options.logger.info(`published ${reason} of ${image}`, {
      ...objectFields(imageRepository),
      reason,
      image,
      revision,
      tagCount,
      eventId: event.id,
    });
    const { object } = taken.publishable;
    if (taken.verify !== undefined) this.#claims.hasCompared(object);
    this.#countPublished(taken, event);
    this.#mayHaveWritten(object);
  }

  /** What was on its way meanwhile may come after what its rivals sent: these have all compared again. */
  #mayHaveWritten(object: ImageRepository): void {
    this.#claims.mayWrite(object);
    this.#decideAgain(this.#claims.rivalsOf(object));
  }

  #countPublished(taken: TakenEvent, { data: { image, revision, reason } }: MirrorEvent): void {
    const tracked = this.#tracked.get(taken.subject.uid);
    if (tracked === undefined) return;
    const { published } = tracked;
    const hasOtherTags = published?.image !== image || published.revision !== revision;
    if (taken.urgency === 'change' && hasOtherTags) tracked.repeats.changed(0, this.#options.now());
    else if (reason === 'initial') this.#resumeFollowUp(tracked);
    tracked.published = taken.publishable.state;
    tracked.baseline = undefined;
  }

  refused(taken: TakenEvent, fault: MirrorError): void {
    // What has failed by time or a cut may have arrived all the same.
    if (fault.disposition !== 'permanent') this.#mayHaveWritten(taken.publishable.object);
    const tracked = this.#tracked.get(taken.subject.uid);
    if (tracked === undefined) return;
    if (fault.disposition === 'permanent') {
      const refusal: Refusal = { reason: 'EventTooLarge', message: fault.message };
      tracked.tooLarge = { state: taken.publishable.state, refusal };
      if (tooLargeRefusal(tracked, tracked.publishable)) {
        tracked.publishable = undefined;
        this.#refuse(tracked, refusal);
      }
    }
    if (tracked.publishable === undefined) askAgain(tracked, taken);
  }

  #store(seen: ImageRepository): Tracked {
    const known = this.#tracked.get(seen.uid);
    const object = succeeding(known?.object, seen);
    if (known !== undefined) {
      known.object = object;
      return known;
    }
    const tracked: Tracked = {
      uid: object.uid,
      object,
      publishable: undefined,
      published: undefined,
      baseline: undefined,
      tooLarge: undefined,
      requestedAt: this.#requestedBefore(object.requestedAt),
      requestSeenAtMs: undefined,
      firstSeen: true,
      refusal: undefined,
      repeats: new Repeats(object.uid, this.#options),
    };
    this.#tracked.set(object.uid, tracked);
    return tracked;
  }

  /**
   * What an object is first seen with was asked for before, and done; but a time of the last hour may
   * have been written while no bridge was there to see it.
   */
  #requestedBefore(value: string | undefined): string | undefined {
    if (value === undefined) return undefined;
    const ageMs = this.#options.wallNow() - Date.parse(value);
    return Math.abs(ageMs) < RECENT_REQUEST_MS ? undefined : value;
  }

  /** What was asked for long ago, while it stood by, was done then: it is published like any change. */
  #weakenOldRequest({ object, requestSeenAtMs }: Tracked): void {
    const { queue, now } = this.#options;
    if (requestSeenAtMs === undefined) return;
    if (now() - requestSeenAtMs >= RECENT_REQUEST_MS) queue.weaken(object.uid);
  }

  #forget(uid: string): readonly string[] {
    const tracked = this.#tracked.get(uid);
    if (tracked?.refusal !== undefined) this.#options.refusals.mended(uid);
    this.#tracked.delete(uid);
    if (tracked !== undefined) tracked.publishable = undefined;
    this.#options.queue.drop(uid);
    return this.#claims.withdraw(uid);
  }

  #decideAgain(uids: readonly string[]): void {
    for (const uid of uids) {
      const tracked = this.#tracked.get(uid);
      if (tracked !== undefined) this.#decide(tracked);
    }
  }

  /** Judges what an object has become, and offers it where it is to be published. */
  #decide(tracked: Tracked): void {
    const { object, firstSeen } = tracked;
    tracked.firstSeen = false;
    const { found, refusal } = this.#judge(tracked);
    if (refusal !== undefined) {
      this.#refuse(tracked, refusal);
      return;
    }
    if (tracked.refusal !== undefined) {
      tracked.refusal = undefined;
      this.#options.refusals.mended(object.uid);
    }
    const published = this.#countsAsPublished(tracked);
    const { baseline, requestedAt } = tracked;
    const decision = decide(
      { published, baseline, requestedAt },
      {
        deleting: object.deleting,
        enabled: !isMirrorError(object.settings) && object.settings.enabled,
        suspended: object.suspended,
        requestedAt: object.requestedAt,
        state: found?.state,
        firstSeen,
      },
    );
    this.#options.metrics.decisions.inc({ cause: decision.cause });
    this.#options.logger.debug(`decided: ${decision.cause}`, objectFields(object));
    if (decision.publish) this.#publish(tracked, decision, found?.state);
    else if (decision.cause === 'Suspended' || decision.cause === 'Disabled') {
      this.#layBaseline(tracked, found?.state);
    }
  }

  /** What is published or on its way; where another image's tags may be, only what has all of them compared. */
  #countsAsPublished(tracked: Tracked): PublishedState | undefined {
    const { object } = tracked;
    const taken = this.#options.queue.inFlight(object.uid);
    if (tracked.publishable !== undefined) this.#claims.mayWrite(object);
    const isForeign = this.#claims.isForeign(object);
    if (isForeign) {
      tracked.baseline ??= tracked.published;
      tracked.published = undefined;
    }
    if (taken?.subject !== tracked) return tracked.published;
    const isOnItsWay = !isForeign || taken.verify !== undefined;
    return isOnItsWay ? taken.publishable.state : tracked.published;
  }

  /** What may be published of an object from now on, or why nothing may. */
  #judge(tracked: Tracked): {
    readonly found: Publishable | undefined;
    readonly refusal: Refusal | undefined;
  } {
    const { object } = tracked;
    const found = publishableOf(object, tracked.publishable?.state ?? tracked.published);
    const refusal = this.#claims.refusalOf(object) ?? tooLargeRefusal(tracked, found);
    const isOff = refusal !== undefined || object.deleting || found?.settings.enabled !== true;
    tracked.publishable = isOff ? undefined : found;
    if (isOff) askAgain(tracked, this.#options.queue.waiting(object.uid));
    return { found, refusal };
  }

  #publish(
    tracked: Tracked,
    { cause, reason }: Extract<Decision, { publish: true }>,
    state: PublishedState | undefined,
  ): void {
    if (cause === 'FirstSeen' && !this.#options.replayOnStart && !this.#syncedOnce) {
      this.#resumeFollowUp(tracked);
      tracked.published = state;
      return;
    }
    if (reason === 'initial') this.#layBaseline(tracked, state);
    if (reason !== 'requested') {
      this.#offer(tracked, reason, {});
      return;
    }
    tracked.requestedAt = tracked.object.requestedAt;
    tracked.requestSeenAtMs = this.#options.isLeading() ? undefined : this.#options.now();
    this.#offer(tracked, reason, { requestedAt: tracked.requestedAt });
  }

  #offer(
    subject: Tracked,
    reason: Reason,
    more: { readonly requestedAt?: string | undefined; readonly resyncSlot?: number | undefined },
  ): void {
    const nowMs = this.#options.now();
    const { object } = subject;
    const verify = this.#claims.isShared(object) ? 'all' : undefined;
    this.#options.queue.offer({ subject, reason, verify, nowMs, ...more });
    this.#options.onOffer();
  }

  #refuse(tracked: Tracked, refusal: Refusal): void {
    const { object } = tracked;
    this.#options.metrics.decisions.inc({ cause: refusal.reason });
    if (object.scan !== undefined) {
      const { image, revision } = object.scan;
      this.#layBaseline(tracked, { image, revision, configurationDigest: '' });
    }
    if (tracked.refusal?.message === refusal.message) return;
    tracked.refusal = refusal;
    this.#options.refusals.refused(object, refusal);
  }

  #layBaseline(tracked: Tracked, state: PublishedState | undefined): void {
    if (tracked.published === undefined) tracked.baseline ??= state;
  }

  /**
   * An object that this replica publishes for the first time may have changed shortly before the
   * replica started. The replica before it owed a follow-up; this one sends it.
   */
  #resumeFollowUp(tracked: Tracked): void {
    const { now, wallNow } = this.#options;
    const { readySinceMs } = tracked.object;
    if (tracked.published !== undefined || readySinceMs === undefined) return;
    tracked.repeats.changed(Math.max(0, wallNow() - readySinceMs), now());
  }

  #repeat(tracked: Tracked, reason: keyof typeof REPEATS, slot: number | undefined): void {
    if (tracked.publishable === undefined || tracked.object.suspended) return;
    this.#options.metrics.decisions.inc({ cause: REPEATS[reason] });
    this.#offer(tracked, reason, { resyncSlot: slot });
  }
}

/** What was refused as too large is so until another state is to be published. */
function tooLargeRefusal(
  { tooLarge }: Tracked,
  publishable: Publishable | undefined,
): Refusal | undefined {
  if (tooLarge === undefined || publishable === undefined) return undefined;
  return isSameState(tooLarge.state, publishable.state) ? tooLarge.refusal : undefined;
}

/** What was asked for and cannot be published now is asked for still when it can. */
function askAgain(tracked: Tracked, waiting: Pick<WaitingEvent, 'requestedAt'> | undefined): void {
  if (waiting?.requestedAt !== undefined) tracked.requestedAt = undefined;
}
