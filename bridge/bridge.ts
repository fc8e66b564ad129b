import { hostname } from 'node:os';

import type { Logger } from '../functions/telemetry/logger.ts';
import type { BackoffRange } from './backoff.ts';
import type { BridgeConfig } from './config.ts';
import { objectFields } from './flux/image-repository.ts';
import { ObjectEvents } from './flux/object-events.ts';
import { watchImageRepositories, type WatchState } from './flux/watcher.ts';
import type { ApiServer } from './kubernetes/api-server.ts';
import type { LeaderElection } from './leader-election.ts';
import { Heartbeats } from './heartbeat.ts';
import { leadershipOf, requireNamespace } from './leadership.ts';
import { createMetrics, type Metrics } from './metrics.ts';
import { serveBridge, unreadyReasons, type ReadinessInput } from './http.ts';
import { checkPermissions } from './permission-check.ts';
import { PublishLoop } from './publish-loop.ts';
import { PublishQueue, URGENCIES } from './publish-queue.ts';
import type { EventPublisher } from './publisher.ts';
import { Tracker } from './tracker.ts';

/** The API server, Pub/Sub and the log; waits are given by tests alone. */
export interface BridgeParts {
  readonly apiServer: ApiServer;
  readonly publisher: EventPublisher;
  readonly logger: Logger;
  /** Default: see the watcher. */
  readonly silenceMs?: number;
  /** Waits after failures of the watch and of publishing. Default: see {@link BackoffRange}. */
  readonly backoff?: BackoffRange;
}

/** A running bridge. */
export interface Bridge {
  /** `HOST:PORT` really bound; undefined where the option is 0. */
  readonly metricsAddress: string | undefined;
  readonly healthAddress: string | undefined;
  /**
   * Stops watching, waits for what is being published, gives the Lease up.
   * @param drainMs how long it waits; default 15,000
   */
  stop(drainMs?: number): Promise<void>;
}

/** Resyncs and follow-ups are looked for once a second. */
const TICK_MS = 1000;
/** Half of the 30 s that Kubernetes waits before it kills. */
const DRAIN_MS = 15_000;

/**
 * Starts the bridge: watch, tracker, queue, publish loop, leader election, metrics and health.
 * @throws MirrorError `OPTION_INVALID` when an address cannot be bound, or a namespace is needed and none
 *   is known
 */
export async function startBridge(config: BridgeConfig, parts: BridgeParts): Promise<Bridge> {
  const { apiServer, logger, publisher } = parts;
  const own = config.runtimeNamespace ?? apiServer.namespace;
  const namespace = config.watchAllNamespaces ? undefined : requireNamespace(own);
  const watching = new AbortController();
  const core = coreOf(config, parts, own, watching.signal);
  const competing = new AbortController();
  let watchState: WatchState = { phase: 'listing' };

  const permissions = checkPermissions(publisher, logger, watching.signal, parts.backoff);
  const servers = await serveBridge(
    config,
    core.metrics,
    () =>
      unreadyReasons({
        ...readinessOf(core),
        watch: watchState,
        missingPermissions: permissions.missing(),
      }),
    logger,
  );
  const running = [
    watchImageRepositories(
      {
        ...parts,
        namespace,
        labelSelector: config.watchLabelSelector,
        handler: core.tracker,
        onState: (state) => {
          watchState = state;
          core.metrics.watchSynced.set(state.phase === 'watching' ? 1 : 0);
        },
        onRestart: (cause) => {
          core.metrics.watchRestarts.inc({ cause });
        },
      },
      watching.signal,
    ),
    core.leadership.run(competing.signal),
  ];
  const ticking = setInterval(() => {
    if (core.leadership.isLeading()) {
      core.tracker.tick();
      // What came while a renewal was late waits without a timer, and nothing is told when it succeeds.
      core.loop.wake();
    }
    core.objectEvents.tick();
    core.heartbeats.tick();
  }, TICK_MS);

  return {
    metricsAddress: servers.metrics?.address,
    healthAddress: servers.health?.address,
    async stop(drainMs = DRAIN_MS) {
      watching.abort();
      clearInterval(ticking);
      // The Lease is renewed meanwhile: what is published is published as its holder.
      await Promise.all([core.loop.drain(drainMs), core.heartbeats.idle(drainMs)]);
      await core.objectEvents.idle();
      competing.abort();
      await Promise.all(running);
      await core.leadership.release();
      await Promise.all([servers.metrics?.close(), servers.health?.close()]);
    },
  };
}

/** The parts that know each other. */
interface Core {
  readonly queue: PublishQueue;
  readonly metrics: Metrics;
  readonly tracker: Tracker;
  readonly loop: PublishLoop;
  readonly leadership: LeaderElection;
  readonly objectEvents: ObjectEvents;
  readonly heartbeats: Heartbeats;
}

/** Monotonic: leases and ages must not follow a clock that is set. */
function monotonicNow(): number {
  return performance.now();
}

function coreOf(
  config: BridgeConfig,
  parts: BridgeParts,
  namespace: string | undefined,
  signal: AbortSignal,
): Core {
  const { apiServer, logger, publisher } = parts;
  const now = monotonicNow;
  const queue = new PublishQueue();
  const metrics = createMetrics({
    queueDepth: () =>
      Object.fromEntries(URGENCIES.map((urgency) => [urgency, queue.depth(urgency)])),
    oldestUnpublishedSeconds: () => waitingMs(queue.oldestSinceMs(), leadership) / 1000,
    watchedObjects: () => tracker.size,
    refusedObjects: () => tracker.refusedCounts(),
  });
  const objectEvents = new ObjectEvents({
    apiServer,
    logger,
    mayWrite: () => !config.dryRun && leadership.isLeading(),
    instance: hostname(),
    now: () => new Date(),
    signal,
  });
  const tracker: Tracker = new Tracker({
    ...config,
    queue,
    logger,
    metrics,
    now,
    wallNow: () => Date.now(),
    isLeading: () => leadership.isLeading(),
    onOffer: () => {
      loop.wake();
    },
    refusals: {
      refused(object, refusal) {
        logger.warning(refusal.message, { ...objectFields(object), reason: refusal.reason });
        objectEvents.warn(object, refusal);
      },
      mended(uid) {
        objectEvents.clear(uid);
      },
    },
  });
  const loop: PublishLoop = new PublishLoop({
    ...config,
    backoff: parts.backoff,
    queue,
    publisher,
    observer: tracker,
    logger,
    metrics,
    now,
    wallNow: () => Date.now(),
    leadingSinceMs: () => leadership.leadingSinceMs(),
  });
  const leadership: LeaderElection = leadershipOf(config, namespace, {
    apiServer,
    logger,
    hasSeenAll: () => tracker.isSynced,
    onStarted: () => {
      tracker.takeOver();
      loop.wake();
    },
    metrics,
    now,
  });
  const heartbeats = new Heartbeats({
    publisher,
    figures: () => ({
      cluster: config.clusterName,
      watched: tracker.size,
      refused: Object.values(tracker.refusedCounts()).reduce((sum, count) => sum + count, 0),
    }),
    isLeading: () => leadership.isLeading(),
    logger,
    now,
  });
  return { queue, metrics, tracker, loop, leadership, objectEvents, heartbeats };
}

function readinessOf(core: Core): Pick<ReadinessInput, 'synced' | 'leading' | 'unpublishedAgeMs'> {
  return {
    synced: core.tracker.isSynced,
    leading: core.leadership.isLeading(),
    unpublishedAgeMs: Math.max(
      waitingMs(core.queue.oldestSinceMs(['change', 'follow-up']), core.leadership),
      waitingMs(core.loop.failingSinceMs(), core.leadership),
    ),
  };
}

/** How long something waits for this replica to publish it: 0 where it does not publish. */
function waitingMs(sinceMs: number | undefined, leadership: LeaderElection): number {
  const leadingSinceMs = leadership.leadingSinceMs();
  if (sinceMs === undefined || leadingSinceMs === undefined) return 0;
  return Math.max(0, monotonicNow() - Math.max(sinceMs, leadingSinceMs));
}
