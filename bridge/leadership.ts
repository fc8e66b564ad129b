import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';

import { refuseOption } from '../functions/options/option.ts';
import type { Logger } from '../functions/telemetry/logger.ts';
import type { BridgeConfig } from './config.ts';
import type { ApiServer } from './kubernetes/api-server.ts';
import { leaseStore } from './kubernetes/leases.ts';
import { createLeaderElection, leaseName, type LeaderElection } from './leader-election.ts';
import type { Metrics } from './metrics.ts';

interface LeadershipParts {
  readonly apiServer: ApiServer;
  readonly logger: Logger;
  /** Whether the first list of ImageRepositories is complete. */
  readonly hasSeenAll: () => boolean;
  readonly onStarted: () => void;
  readonly metrics: Pick<Metrics, 'leader'>;
  readonly now: () => number;
}

/**
 * Leader election where it is on, else this process always leads; so does a dry run, which must not keep
 * the Lease from those that publish.
 * @throws MirrorError `OPTION_INVALID` when no namespace is known for the Lease
 */
export function leadershipOf(
  config: BridgeConfig,
  namespace: string | undefined,
  parts: LeadershipParts,
): LeaderElection {
  const { metrics, now, logger } = parts;
  const name = leaseName(config.watchLabelSelector);
  if (!config.enableLeaderElection || config.dryRun) {
    if (config.enableLeaderElection) {
      logger.info('a dry run leads without a Lease', { logger: 'leader-election' });
    }
    metrics.leader.set({ name }, 1);
    const startedMs = now();
    return {
      isLeading: () => true,
      leadingSinceMs: () => startedMs,
      run: () => Promise.resolve(),
      release: () => Promise.resolve(),
    };
  }
  metrics.leader.set({ name }, 0);
  return createLeaderElection({
    store: leaseStore(
      parts.apiServer,
      requireNamespace(namespace),
      name,
      // As client-go: two requests fit into the deadline.
      Math.max(1000, Math.round(config.renewDeadlineMs / 2)),
    ),
    identity: `${hostname()}_${randomUUID()}`,
    leaseDurationMs: config.leaseDurationMs,
    renewDeadlineMs: config.renewDeadlineMs,
    retryPeriodMs: config.retryPeriodMs,
    releaseOnCancel: config.releaseOnCancel,
    logger: logger.child({ logger: 'leader-election' }),
    hasSeenAll: parts.hasSeenAll,
    onStarted: () => {
      metrics.leader.set({ name }, 1);
      parts.onStarted();
    },
    onStopped: () => {
      metrics.leader.set({ name }, 0);
    },
    now,
    wallNow: () => new Date(),
  });
}

/** The namespace, where one is needed. @throws MirrorError `OPTION_INVALID` */
export function requireNamespace(namespace: string | undefined): string {
  return (
    namespace ??
    refuseOption(
      'RUNTIME_NAMESPACE',
      'is not set, and neither kubeconfig nor pod names a namespace',
    )
  );
}
