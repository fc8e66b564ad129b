import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';

import { refuseOption } from '../functions/options/option.ts';
import type { Logger } from '../functions/telemetry/logger.ts';
import type { BackoffRange } from './backoff.ts';
import type { BridgeConfig } from './config.ts';
import { ObjectEvents } from './flux/object-events.ts';
import { watchImageRepositories, type WatchState } from './flux/watcher.ts';
import type { ApiServer } from './kubernetes/api-server.ts';
import { leaseStore } from './kubernetes/leases.ts';
import { createLeaderElection, leaseName, type LeaderElection } from './leader-election.ts';
import { objectFields } from './log-fields.ts';
import { createMetrics, type Metrics } from './metrics.ts';
import { createPublishLoop, type PublishLoop } from './publish-loop.ts';
import { PublishQueue, URGENCIES } from './publish-queue.ts';
import type { EventPublisher } from './publisher.ts';
import { unreadyReasons } from './readiness.ts';
import { Reconciler, type RefusalReporter } from './reconciler.ts';
import { servePages, textPage, type PageServer } from './server.ts';
import { sleep } from './sleep.ts';

/** What the bridge works with, besides its options. */
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
  /** Stops watching, waits for what is being published, gives the Lease up. */
  stop(): Promise<void>;
}

/** Resyncs and follow-ups are looked for once a second. */
const TICK_MS = 1000;
/** A missing permission is asked for again. */
const PERMISSION_RETRY_MS = 30_000;
/** Well below the 30 s that Kubernetes waits before it kills. */
const DRAIN_MS = 15_000;

/**
 * Starts the bridge: watch, reconciler, queue, publish loop, leader election, metrics and health.
 * @throws Fault `OPTION_INVALID` when an address cannot be bound, or no namespace is known for the
 *   Lease
 */
export async function startBridge(config: BridgeConfig, parts: BridgeParts): Promise<Bridge> {
  const { apiServer, logger, publisher } = parts;
  const namespace = config.runtimeNamespace ?? apiServer.namespace;
  const queue = new PublishQueue();
  const now = (): number => performance.now();
  const watching = new AbortController();
  const competing = new AbortController();
  let watchState: WatchState = { phase: 'listing' };
  let synced = false;
  let missingPermissions: readonly string[] = [];

  const metrics = createMetrics({
    queueDepth: () =>
      Object.fromEntries(URGENCIES.map((urgency) => [urgency, queue.depth(urgency)])),
    oldestUnpublishedSeconds: () => ageMs(queue.oldestSinceMs(), now()) / 1000,
    watchedObjects: () => reconciler.size,
    refusedObjects: () => reconciler.refusedCounts(),
  });
  const objectEvents = new ObjectEvents({
    apiServer,
    logger,
    mayWrite: () => !config.dryRun && leadership.isLeading(),
    instance: hostname(),
    now: () => new Date(),
  });
  const reconciler: Reconciler = new Reconciler({
    queue,
    refusals: refusalReporter(logger, objectEvents),
    logger,
    metrics,
    clusterName: config.clusterName,
    layout: config.destinationLayout,
    resyncIntervalMs: config.resyncIntervalMs,
    followUpMs: config.followUpMs,
    replayOnStart: config.replayOnStart,
    onOffer: () => {
      loop.wake();
    },
    now,
    wallNow: () => Date.now(),
  });
  const loop: PublishLoop = createPublishLoop({
    queue,
    publisher,
    source: reconciler,
    concurrent: config.concurrent,
    replayRate: config.replayRate,
    logger,
    metrics,
    mayPublish: () => leadership.isLeading(),
    now,
    ...(parts.backoff === undefined ? {} : { backoff: parts.backoff }),
  });
  const leadership = leadershipOf(config, namespace, {
    apiServer,
    logger,
    queue,
    reconciler,
    loop,
    metrics,
    now,
  });

  function reasons(): readonly string[] {
    const unpublishedMs = Math.max(
      ageMs(queue.oldestSinceMs(['change', 'follow-up']), now()),
      ageMs(loop.failingSinceMs(), now()),
    );
    return unreadyReasons({
      watch: watchState,
      synced,
      leading: leadership.isLeading(),
      unpublishedAgeMs: unpublishedMs,
      missingPermissions,
    });
  }

  async function checkPermissions(): Promise<void> {
    while (!watching.signal.aborted) {
      const missing = await publisher.missingPermissions();
      for (const sentence of missing) logger.error(`cannot publish: ${sentence}`);
      missingPermissions = missing;
      if (missing.length === 0) return;
      await sleep(PERMISSION_RETRY_MS, watching.signal);
    }
  }

  const servers = await serve(config, metrics, reasons, logger);
  const running = [
    watchImageRepositories(
      {
        apiServer,
        namespace: config.watchAllNamespaces ? undefined : requireNamespace(namespace),
        labelSelector: config.watchLabelSelector,
        handler: {
          listed: (object) => {
            reconciler.listed(object);
          },
          synced: (uids) => {
            reconciler.synced(uids);
            if (!synced) logger.info('watching', { objects: reconciler.size });
            synced = true;
          },
          changed: (object) => {
            reconciler.changed(object);
          },
          deleted: (uid) => {
            reconciler.deleted(uid);
          },
        },
        logger,
        onState: (state) => {
          watchState = state;
          metrics.watchSynced.set(state.phase === 'watching' ? 1 : 0);
        },
        onRestart: (cause) => {
          metrics.watchRestarts.inc({ cause });
        },
        ...(parts.silenceMs === undefined ? {} : { silenceMs: parts.silenceMs }),
        ...(parts.backoff === undefined ? {} : { backoff: parts.backoff }),
      },
      watching.signal,
    ),
    leadership.run(competing.signal),
    checkPermissions(),
  ];
  const ticking = setInterval(() => {
    reconciler.tick();
    objectEvents.tick();
  }, TICK_MS);

  return {
    metricsAddress: servers.metrics?.address,
    healthAddress: servers.health?.address,
    async stop() {
      watching.abort();
      clearInterval(ticking);
      await loop.drain(DRAIN_MS);
      await objectEvents.idle();
      competing.abort();
      await Promise.all(running);
      await leadership.release();
      await Promise.all([servers.metrics?.close(), servers.health?.close()]);
    },
  };
}

/** What leadership works with. */
interface LeadershipParts {
  readonly apiServer: ApiServer;
  readonly logger: Logger;
  readonly queue: PublishQueue;
  readonly reconciler: Reconciler;
  readonly loop: PublishLoop;
  readonly metrics: Metrics;
  readonly now: () => number;
}

/** Leader election where it is on; else this process always leads. */
function leadershipOf(
  config: BridgeConfig,
  namespace: string | undefined,
  parts: LeadershipParts,
): LeaderElection {
  const { queue, reconciler, loop, metrics, now, logger } = parts;
  const name = leaseName(config.watchLabelSelector);
  if (!config.enableLeaderElection) {
    metrics.leader.set({ name }, 1);
    return {
      isLeading: () => true,
      run: () => Promise.resolve(),
      release: () => Promise.resolve(),
    };
  }
  metrics.leader.set({ name }, 0);
  function published(sinceMs: number): void {
    for (const event of queue.prune(sinceMs)) reconciler.assumePublished(event);
  }
  return createLeaderElection({
    store: leaseStore(
      parts.apiServer,
      requireNamespace(namespace),
      name,
      // As client-go: two requests fit into the deadline.
      Math.max(1000, config.renewDeadlineMs / 2),
    ),
    identity: `${hostname()}_${randomUUID()}`,
    leaseDurationMs: config.leaseDurationMs,
    renewDeadlineMs: config.renewDeadlineMs,
    retryPeriodMs: config.retryPeriodMs,
    releaseOnCancel: config.releaseOnCancel,
    logger: logger.child({ logger: 'leader-election' }),
    oldestUnpublished: () => {
      const sinceMs = queue.oldestSinceMs();
      return sinceMs === undefined ? undefined : new Date(Date.now() - (now() - sinceMs));
    },
    onStarted: (sinceMs) => {
      published(sinceMs);
      metrics.leader.set({ name }, 1);
      loop.wake();
    },
    onStopped: () => {
      metrics.leader.set({ name }, 0);
    },
    onObserved: published,
    now,
    wallNow: () => new Date(),
  });
}

function refusalReporter(logger: Logger, objectEvents: ObjectEvents): RefusalReporter {
  return {
    refused(object, refusal) {
      logger.warning(refusal.message, { ...objectFields(object), reason: refusal.reason });
      objectEvents.warn(object, refusal);
    },
    mended(uid) {
      objectEvents.clear(uid);
    },
  };
}

async function serve(
  config: BridgeConfig,
  metrics: Metrics,
  reasons: () => readonly string[],
  logger: Logger,
): Promise<{ readonly metrics: PageServer | undefined; readonly health: PageServer | undefined }> {
  const metricsServer =
    config.metricsAddr === '0'
      ? undefined
      : await servePages('--metrics-addr', config.metricsAddr, {
          '/metrics': async () => ({
            status: 200,
            contentType: metrics.contentType,
            body: await metrics.text(),
          }),
        });
  if (metricsServer !== undefined) {
    logger.info('serving metrics', { logger: 'setup', address: metricsServer.address });
  }
  const healthServer =
    config.healthAddr === '0'
      ? undefined
      : await servePages('--health-addr', config.healthAddr, {
          '/healthz': () => textPage(200, 'ok'),
          '/readyz': () => {
            const why = reasons();
            return why.length === 0 ? textPage(200, 'ok') : textPage(503, why.join('\n'));
          },
        });
  if (healthServer !== undefined) {
    logger.info('serving health', { logger: 'setup', address: healthServer.address });
  }
  return { metrics: metricsServer, health: healthServer };
}

function requireNamespace(namespace: string | undefined): string {
  return (
    namespace ??
    refuseOption(
      'RUNTIME_NAMESPACE',
      'is not set, and neither kubeconfig nor pod names a namespace',
    )
  );
}

function ageMs(sinceMs: number | undefined, nowMs: number): number {
  return sinceMs === undefined ? 0 : Math.max(0, nowMs - sinceMs);
}
