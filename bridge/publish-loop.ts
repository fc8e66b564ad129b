import { eventOf, type MirrorEvent } from '../functions/contract/event.ts';
import { toMirrorError, type MirrorError } from '../functions/errors.ts';
import type { Logger } from '../functions/telemetry/logger.ts';
import { backoff, type Backoff, type BackoffRange } from './backoff.ts';
import type { Metrics } from './metrics.ts';
import { createPacer, type Pacer } from './pacer.ts';
import {
  laneOf,
  URGENCIES,
  type Lane,
  type PublishQueue,
  type TakenEvent,
  type Urgency,
} from './publish-queue.ts';
import { MAX_BATCH, type EventPublisher } from './publisher.ts';
import { requestOf } from './request.ts';

/** Is told what became of events. */
export interface PublishObserver {
  /** Pub/Sub has the event. */
  accepted(taken: TakenEvent, event: MirrorEvent): void;
  /** Pub/Sub has not taken it: it waits again, unless it can never be taken. */
  refused(taken: TakenEvent, fault: MirrorError): void;
}

/** What is sent where, how fast, and who is told. */
export interface PublishLoopOptions {
  readonly queue: PublishQueue;
  readonly publisher: Pick<EventPublisher, 'publish'>;
  readonly observer: PublishObserver;
  /** `--cluster-name`: part of every event. */
  readonly clusterName: string;
  /** Requests under way at once, over both lanes. */
  readonly concurrent: number;
  /** Resync and replay events a second; 0: no limit. */
  readonly replayRate: number;
  readonly logger: Logger;
  readonly metrics: Pick<
    Metrics,
    'published' | 'publishFailures' | 'publishSeconds' | 'detectionSeconds'
  >;
  /** Since when this replica publishes, ms of the clock; undefined: at this moment it may not. */
  readonly leadingSinceMs: () => number | undefined;
  /** Monotonic clock, ms. */
  readonly now: () => number;
  /** Wall clock, ms. */
  readonly wallNow: () => number;
  readonly backoff?: BackoffRange | undefined;
}

interface LaneState {
  readonly name: Lane;
  readonly backoff: Backoff;
  inFlight: number;
  failingSinceMs: number | undefined;
  /** Nothing is sent before; 0 where nothing failed. */
  notBeforeMs: number;
}

/** Urgencies that the replay rate holds back. */
const PACED: readonly Urgency[] = ['resync', 'replay'];

/**
 * Publishes what waits in the queue whenever it may, changes first. A lane that fails is tried with
 * one request at a time, with back-off, until it takes something again; the other goes on.
 */
export class PublishLoop {
  readonly #options: PublishLoopOptions;
  readonly #lanes: Readonly<Record<Lane, LaneState>>;
  readonly #pacer: Pacer;
  readonly #underWay = new Set<Promise<void>>();
  #timer: NodeJS.Timeout | undefined;
  #woken = false;
  #draining = false;
  #stopped = false;

  constructor(options: PublishLoopOptions) {
    this.#options = options;
    this.#lanes = {
      events: laneState('events', options.backoff),
      bulk: laneState('bulk', options.backoff),
    };
    this.#pacer = createPacer(options.replayRate, options.now());
  }

  /** Looks at the queue soon: something was offered, or this replica leads now. */
  wake(): void {
    if (this.#woken || this.#stopped) return;
    this.#woken = true;
    // What is offered in one turn of the event loop goes in one request.
    setImmediate(() => {
      this.#woken = false;
      this.#pump();
    });
  }

  /** Since when a lane has taken nothing, ms of the clock; undefined while both do. */
  failingSinceMs(): number | undefined {
    const since = Object.values(this.#lanes).flatMap(({ failingSinceMs: ms }) => ms ?? []);
    return since.length === 0 ? undefined : Math.min(...since);
  }

  /**
   * Takes up nothing new but changes, waits until they and what is under way are published, and
   * stops. What a failing lane leaves unpublished is not waited for.
   */
  async drain(timeoutMs: number): Promise<void> {
    const { now } = this.#options;
    this.#draining = true;
    const endMs = now() + timeoutMs;
    this.#pump();
    while (this.#underWay.size > 0 && now() < endMs) {
      const left = new Promise<void>((resolve) => setTimeout(resolve, endMs - now()).unref());
      await Promise.race([...this.#underWay, left]);
      if (this.#lanes.events.failingSinceMs === undefined) this.#pump();
    }
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #pump(): void {
    clearTimeout(this.#timer);
    if (this.#stopped || this.#options.leadingSinceMs() === undefined) return;
    let waitMs = Infinity;
    for (const urgency of this.#draining ? (['change'] as const) : URGENCIES) {
      waitMs = Math.min(waitMs, this.#sendUrgency(urgency));
    }
    if (waitMs === Infinity) return;
    this.#timer = setTimeout(
      () => {
        this.#pump();
      },
      Math.max(1, waitMs),
    );
  }

  /** Sends what may be sent of an urgency. @returns when to look again, in ms */
  #sendUrgency(urgency: Urgency): number {
    const { queue, concurrent, now } = this.#options;
    const lane = this.#lanes[laneOf(urgency)];
    while (queue.depth(urgency) > 0) {
      const nowMs = now();
      if (nowMs < lane.notBeforeMs) return lane.notBeforeMs - nowMs;
      const isTrying = lane.failingSinceMs !== undefined && lane.inFlight > 0;
      // Whatever is under way looks again when it ends.
      if (isTrying || this.#underWay.size >= concurrent) return Infinity;
      const paced = PACED.includes(urgency);
      const limit = paced ? Math.min(MAX_BATCH, this.#pacer.available(nowMs)) : MAX_BATCH;
      if (limit === 0) return this.#pacer.waitMs(nowMs);
      const batch = queue.take(urgency, limit);
      if (batch.length === 0) return Infinity;
      if (paced) this.#pacer.spend(batch.length);
      this.#start(lane, batch);
    }
    return Infinity;
  }

  #start(lane: LaneState, batch: readonly TakenEvent[]): void {
    const { queue } = this.#options;
    const sending = this.#send(lane, batch)
      .catch((error: unknown) => {
        for (const { subject } of batch) queue.giveBack(subject.uid);
        this.#judge(lane, toMirrorError(error, 'publish events'));
      })
      .finally(() => {
        this.#underWay.delete(sending);
        this.wake();
      });
    this.#underWay.add(sending);
  }

  async #send(lane: LaneState, batch: readonly TakenEvent[]): Promise<void> {
    const { publisher, now } = this.#options;
    const pairs = batch.map((taken) => ({ taken, event: this.#eventOf(taken) }));
    const startedMs = now();
    lane.inFlight += 1;
    const outcomes = await publisher
      .publish(
        lane.name,
        pairs.map(({ event }) => event),
      )
      .finally(() => {
        lane.inFlight -= 1;
      });
    const seconds = (now() - startedMs) / 1000;
    pairs.forEach(({ taken, event }, index) => {
      const fault = outcomes[index];
      if (fault === undefined) this.#accept(lane.name, taken, event, seconds);
      else this.#refuse(lane.name, taken, fault);
    });
    this.#judge(
      lane,
      outcomes.find((fault) => fault?.disposition === 'transient'),
    );
  }

  #eventOf(taken: TakenEvent): MirrorEvent {
    const { clusterName, wallNow } = this.#options;
    const { requestedAt, resyncSlot } = taken;
    return eventOf(requestOf(taken.publishable, taken), {
      clusterName,
      time: new Date(wallNow()),
      requestedAt,
      resyncSlot,
    });
  }

  #accept(lane: Lane, taken: TakenEvent, event: MirrorEvent, seconds: number): void {
    const { queue, metrics, observer, now, leadingSinceMs } = this.#options;
    queue.settle(taken.subject.uid);
    metrics.published.inc({ reason: event.data.reason });
    metrics.publishSeconds.observe({ lane }, seconds);
    if (taken.urgency === 'change') {
      // What was seen while standing by was another's to publish until then.
      const sinceMs = Math.max(taken.sinceMs, leadingSinceMs() ?? taken.sinceMs);
      metrics.detectionSeconds.observe((now() - sinceMs) / 1000);
    }
    observer.accepted(taken, event);
  }

  #refuse(lane: Lane, taken: TakenEvent, fault: MirrorError): void {
    const { uid } = taken.subject;
    const { queue, metrics, observer } = this.#options;
    metrics.publishFailures.inc({ lane, code: fault.code });
    if (fault.disposition === 'transient') queue.giveBack(uid);
    else queue.settle(uid);
    observer.refused(taken, fault);
  }

  /** What the outcome of a request says about its lane: an event that can never be taken says nothing. */
  #judge(lane: LaneState, fault: MirrorError | undefined): void {
    const { logger, now } = this.#options;
    if (fault === undefined) {
      if (lane.failingSinceMs !== undefined) logger.info('publishing again', { lane: lane.name });
      lane.failingSinceMs = undefined;
      lane.notBeforeMs = 0;
      lane.backoff.reset();
      return;
    }
    const retryMs = lane.backoff.next();
    lane.failingSinceMs ??= now();
    lane.notBeforeMs = now() + retryMs;
    logger.error('cannot publish; trying again', {
      lane: lane.name,
      retrySeconds: Math.round(retryMs / 100) / 10,
      error: fault,
    });
  }
}

function laneState(name: Lane, range: BackoffRange | undefined): LaneState {
  return { name, backoff: backoff(range), inFlight: 0, failingSinceMs: undefined, notBeforeMs: 0 };
}
