import type { Fault } from '../functions/fault.ts';
import type { MirrorEvent } from '../functions/contract/event.ts';
import type { Logger } from '../functions/telemetry/logger.ts';
import { backoff, type Backoff, type BackoffRange } from './backoff.ts';
import type { Metrics } from './metrics.ts';
import { createPacer, type Pacer } from './pacer.ts';
import {
  laneOf,
  URGENCIES,
  type Lane,
  type PublishQueue,
  type Urgency,
  type WaitingEvent,
} from './publish-queue.ts';
import { MAX_BATCH, type EventPublisher } from './publisher.ts';

/** What the loop asks and tells about the objects whose events it publishes. */
export interface EventSource {
  /** The event of the object as it is now; undefined where nothing of it is to be published. */
  eventFor(waiting: WaitingEvent): MirrorEvent | undefined;
  /** Pub/Sub has the event. */
  accepted(waiting: WaitingEvent, event: MirrorEvent): void;
  /** Pub/Sub has not taken it: it waits again, unless it can never be taken. */
  refused(waiting: WaitingEvent, fault: Fault): void;
}

/** What {@link createPublishLoop} works with. */
export interface PublishLoopOptions {
  readonly queue: PublishQueue;
  readonly publisher: EventPublisher;
  readonly source: EventSource;
  /** Requests under way at once, over both lanes. */
  readonly concurrent: number;
  /** Resync and replay events a second; 0: no limit. */
  readonly replayRate: number;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Whether this replica may publish at this very moment. */
  readonly mayPublish: () => boolean;
  /** Monotonic clock, ms. */
  readonly now: () => number;
  readonly backoff?: BackoffRange;
}

/** Publishes what waits, changes first, whenever it may. */
export interface PublishLoop {
  /** Looks at the queue soon: something was offered, or this replica leads now. */
  wake(): void;
  /** Since when a lane has taken nothing, ms of the clock; undefined while all do. */
  failingSinceMs(): number | undefined;
  /**
   * Takes up nothing new but changes, waits until they and what is under way are published, and
   * stops. What a failing lane leaves unpublished is not waited for.
   */
  drain(timeoutMs: number): Promise<void>;
}

interface LaneState {
  readonly backoff: Backoff;
  inFlight: number;
  failingSinceMs: number | undefined;
  /** Nothing is sent before; 0 where nothing failed. */
  notBeforeMs: number;
}

/** Urgencies that the replay rate holds back. */
const PACED: readonly Urgency[] = ['resync', 'replay'];

/** See {@link PublishLoop}. */
export function createPublishLoop(options: PublishLoopOptions): PublishLoop {
  const { queue, publisher, source, logger, metrics, now } = options;
  const lanes: Readonly<Record<Lane, LaneState>> = {
    events: laneState(options.backoff),
    bulk: laneState(options.backoff),
  };
  const pacer: Pacer = createPacer(options.replayRate, now());
  const underWay = new Set<Promise<void>>();
  let timer: NodeJS.Timeout | undefined;
  let woken = false;
  let draining = false;
  let stopped = false;

  function wake(): void {
    if (woken || stopped) return;
    woken = true;
    // What is offered in one turn of the event loop goes in one request.
    setImmediate(() => {
      woken = false;
      pump();
    });
  }

  function pump(): void {
    clearTimeout(timer);
    if (stopped || !options.mayPublish()) return;
    let waitMs = Infinity;
    for (const urgency of draining ? (['change'] as const) : URGENCIES) {
      waitMs = Math.min(waitMs, sendUrgency(urgency));
    }
    if (waitMs < Infinity) timer = setTimeout(pump, Math.max(1, waitMs));
  }

  /** Sends what may be sent of an urgency; gives the time after which to look again. */
  function sendUrgency(urgency: Urgency): number {
    const lane = lanes[laneOf(urgency)];
    while (queue.depth(urgency) > 0) {
      const nowMs = now();
      if (nowMs < lane.notBeforeMs) return lane.notBeforeMs - nowMs;
      // A lane that failed is tried with one request until it takes something again.
      const full = lane.failingSinceMs !== undefined && lane.inFlight > 0;
      if (full || underWay.size >= options.concurrent) return Infinity;
      const paced = PACED.includes(urgency);
      const limit = paced ? Math.min(MAX_BATCH, pacer.available(nowMs)) : MAX_BATCH;
      if (limit === 0) return pacer.waitMs(nowMs);
      const batch = queue.take(urgency, limit);
      if (batch.length === 0) return Infinity;
      if (paced) pacer.spend(batch.length);
      start(laneOf(urgency), batch);
    }
    return Infinity;
  }

  function start(lane: Lane, batch: readonly WaitingEvent[]): void {
    const sending = send(lane, batch)
      .catch((error: unknown) => {
        for (const { uid } of batch) queue.giveBack(uid);
        logger.error('publishing failed in an unforeseen way', { error });
      })
      .finally(() => {
        underWay.delete(sending);
        wake();
      });
    underWay.add(sending);
  }

  async function send(laneName: Lane, batch: readonly WaitingEvent[]): Promise<void> {
    const pairs = batch.flatMap((waiting) => {
      const event = source.eventFor(waiting);
      if (event === undefined) queue.settle(waiting.uid);
      return event === undefined ? [] : [{ waiting, event }];
    });
    if (pairs.length === 0) return;
    const lane = lanes[laneName];
    const startedMs = now();
    lane.inFlight += 1;
    const outcomes = await publisher
      .publish(
        laneName,
        pairs.map(({ event }) => event),
      )
      .finally(() => {
        lane.inFlight -= 1;
      });
    const seconds = (now() - startedMs) / 1000;
    pairs.forEach(({ waiting, event }, index) => {
      const fault = outcomes[index];
      if (fault === undefined) accept(laneName, waiting, event, seconds);
      else refuse(laneName, waiting, fault);
    });
    pass(
      lane,
      laneName,
      outcomes.find((fault) => fault?.disposition === 'transient'),
    );
  }

  function accept(lane: Lane, waiting: WaitingEvent, event: MirrorEvent, seconds: number): void {
    queue.settle(waiting.uid);
    metrics.published.inc({ reason: event.data.reason });
    metrics.publishSeconds.observe({ lane }, seconds);
    if (waiting.urgency === 'change') {
      metrics.detectionSeconds.observe((now() - waiting.decidedAtMs) / 1000);
    }
    source.accepted(waiting, event);
  }

  function refuse(lane: Lane, waiting: WaitingEvent, fault: Fault): void {
    metrics.publishFailures.inc({ lane, code: fault.code });
    if (fault.disposition === 'transient') queue.giveBack(waiting.uid);
    else queue.settle(waiting.uid);
    source.refused(waiting, fault);
  }

  function pass(lane: LaneState, name: Lane, fault: Fault | undefined): void {
    if (fault === undefined) {
      if (lane.failingSinceMs !== undefined) logger.info('publishing again', { lane: name });
      lane.failingSinceMs = undefined;
      lane.notBeforeMs = 0;
      lane.backoff.reset();
      return;
    }
    const retryMs = lane.backoff.next();
    lane.failingSinceMs ??= now();
    lane.notBeforeMs = now() + retryMs;
    logger.error('cannot publish; trying again', {
      lane: name,
      retrySeconds: Math.round(retryMs / 100) / 10,
      error: fault,
    });
  }

  return {
    wake,
    failingSinceMs() {
      const since = Object.values(lanes).flatMap(({ failingSinceMs: ms }) => ms ?? []);
      return since.length === 0 ? undefined : Math.min(...since);
    },
    async drain(timeoutMs) {
      draining = true;
      const endMs = now() + timeoutMs;
      pump();
      while (underWay.size > 0 && now() < endMs) {
        const left = new Promise<void>((resolve) => setTimeout(resolve, endMs - now()).unref());
        await Promise.race([...underWay, left]);
        if (lanes.events.failingSinceMs === undefined) pump();
      }
      stopped = true;
      clearTimeout(timer);
    },
  };
}

function laneState(range: BackoffRange | undefined): LaneState {
  return { backoff: backoff(range), inFlight: 0, failingSinceMs: undefined, notBeforeMs: 0 };
}
