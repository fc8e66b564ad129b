import { createHash } from 'node:crypto';

import { toFault } from '../functions/fault.ts';
import type { Logger } from '../functions/telemetry/logger.ts';
import type { LeaseRecord, LeaseStore } from './kubernetes/leases.ts';
import { sleep } from './sleep.ts';

/** The bridge's name among controllers. */
export const CONTROLLER_NAME = 'imagerepo-mirror';

/** When the oldest change was seen that the leader has not published yet, RFC 3339 by its clock. */
export const OLDEST_UNPUBLISHED = 'imagerepo-mirror.io/oldest-unpublished';

/** client-go's `JitterFactor`: standbys do not come in step. */
const JITTER_FACTOR = 1.2;

/** What leader election works with. */
export interface LeaderElectionOptions {
  readonly store: LeaseStore;
  /** Unique to this process: `HOSTNAME_UUID`. */
  readonly identity: string;
  readonly leaseDurationMs: number;
  readonly renewDeadlineMs: number;
  readonly retryPeriodMs: number;
  readonly releaseOnCancel: boolean;
  readonly logger: Logger;
  /** Wall-clock time of the oldest unpublished change, for whoever takes over; undefined: none. */
  readonly oldestUnpublished: () => Date | undefined;
  /**
   * This replica leads from now on.
   * @param sinceMs everything seen since then (monotonic clock) may be unpublished; -Infinity where
   *   no renewal of a leader before was ever seen
   */
  readonly onStarted: (sinceMs: number) => void;
  /** It does no longer. */
  readonly onStopped: () => void;
  /** Another replica leads and has published all that was seen before `sinceMs`. */
  readonly onObserved: (sinceMs: number) => void;
  /** Monotonic clock, ms. */
  readonly now: () => number;
  /** Wall clock. */
  readonly wallNow: () => Date;
}

/** The competition for one Lease. */
export interface LeaderElection {
  /** Whether this replica holds the Lease and can be sure that nobody else does. */
  isLeading(): boolean;
  /** Competes, leads and stands by until the signal is aborted; does not release. */
  run(signal: AbortSignal): Promise<void>;
  /** Gives the Lease up, where it is held and that is wanted. */
  release(): Promise<void>;
}

/**
 * Flux's name for a Lease: `<controller>-leader-election`, with the start of the selector's digest
 * where objects are sharded by a label selector.
 */
export function leaseName(labelSelector: string): string {
  const name = `${CONTROLLER_NAME}-leader-election`;
  if (labelSelector === '') return name;
  return `${name}-${createHash('sha256').update(labelSelector).digest('hex').slice(0, 8)}`;
}

/**
 * Leader election as client-go does it (`tools/leaderelection`): times of other replicas' clocks
 * are never compared with the own; what counts is when a change of the record was seen.
 */
export function createLeaderElection(options: LeaderElectionOptions): LeaderElection {
  const { store, identity, logger, now, wallNow } = options;
  let observed: LeaseRecord | undefined;
  /** When the record was last seen to have changed. */
  let observedAtMs = 0;
  /** Whether a record was ever seen to change: only then is the time of a renewal known. */
  let renewalSeen = false;
  let renewedAtMs = -Infinity;
  let leading = false;

  function observe(record: LeaseRecord): void {
    const changed = observed === undefined || !sameRecord(observed, record);
    if (changed) {
      if (observed !== undefined) renewalSeen = true;
      observedAtMs = now();
    }
    observed = record;
    if (changed && record.holderIdentity !== identity)
      options.onObserved(unpublishedSinceMs(record));
  }

  /** From when on what was seen may be unpublished, by what the leader last wrote. */
  function unpublishedSinceMs(record: LeaseRecord): number {
    if (!renewalSeen) return -Infinity;
    const oldest = Date.parse(record.annotations[OLDEST_UNPUBLISHED] ?? '');
    const renewed = Date.parse(record.renewTime);
    // Both are of the leader's clock: only their difference is used.
    const ageMs = Number.isNaN(oldest) || Number.isNaN(renewed) ? 0 : Math.max(0, renewed - oldest);
    return observedAtMs - ageMs - options.leaseDurationMs;
  }

  /** Tries to make, take or renew the Lease. */
  async function tryAcquireOrRenew(): Promise<boolean> {
    const startedMs = now();
    const before = await store.read();
    if (before !== undefined) observe(before);
    else observed = undefined;
    if (before !== undefined && before.holderIdentity !== identity && isHeld(before)) return false;
    const sinceMs = before === undefined ? -Infinity : unpublishedSinceMs(before);
    const written = await store.write(recordAfter(before));
    if (written === undefined) return false;
    // A write that took long may be as old as its beginning.
    renewedAtMs = startedMs;
    observed = written;
    observedAtMs = now();
    renewalSeen = true;
    if (!leading) {
      leading = true;
      logger.info('became leader', { identity, transitions: written.leaseTransitions });
      options.onStarted(sinceMs);
    }
    return true;
  }

  function isHeld(record: LeaseRecord): boolean {
    return (
      record.holderIdentity !== '' && now() < observedAtMs + record.leaseDurationSeconds * 1000
    );
  }

  function recordAfter(before: LeaseRecord | undefined): LeaseRecord {
    const at = microTime(wallNow());
    const own = before?.holderIdentity === identity;
    return {
      holderIdentity: identity,
      leaseDurationSeconds: Math.ceil(options.leaseDurationMs / 1000),
      acquireTime: own ? before.acquireTime : at,
      renewTime: at,
      leaseTransitions: before === undefined ? 0 : before.leaseTransitions + (own ? 0 : 1),
      annotations: annotationsAfter(before),
      metadata: before?.metadata,
    };
  }

  function annotationsAfter(before: LeaseRecord | undefined): Readonly<Record<string, string>> {
    const others = Object.entries(before?.annotations ?? {}).filter(
      ([name]) => name !== OLDEST_UNPUBLISHED,
    );
    const oldest = options.oldestUnpublished();
    return {
      ...Object.fromEntries(others),
      ...(oldest === undefined ? {} : { [OLDEST_UNPUBLISHED]: microTime(oldest) }),
    };
  }

  function isLeading(): boolean {
    return leading && now() < renewedAtMs + options.renewDeadlineMs;
  }

  function stepDown(): void {
    if (!leading) return;
    leading = false;
    options.onStopped();
  }

  return {
    isLeading,
    async run(signal) {
      while (!signal.aborted) {
        let error: unknown;
        const held = await tryAcquireOrRenew().catch((cause: unknown) => {
          error = cause;
          return false;
        });
        if (error !== undefined) {
          logger.error('cannot reach the Lease; trying again', {
            error: toFault(error, 'renew Lease'),
          });
        }
        // Lost to another at once; unreachable only after the renew deadline.
        if (leading && !held && (error === undefined ? !stillOwn() : !isLeading())) {
          logger.error('lost the Lease; standing by', { identity });
          stepDown();
        }
        const jitter = leading ? 1 : 1 + Math.random() * (JITTER_FACTOR - 1);
        await sleep(waitMs(jitter), signal);
      }
    },
    async release() {
      const held = observed;
      const wasLeading = leading;
      stepDown();
      if (!wasLeading || !options.releaseOnCancel || held?.holderIdentity !== identity) return;
      const at = microTime(wallNow());
      await store
        .write({
          ...held,
          holderIdentity: '',
          leaseDurationSeconds: 1,
          acquireTime: at,
          renewTime: at,
          annotations: annotationsAfter(held),
        })
        .then(() => {
          logger.info('released the Lease', { identity });
        })
        .catch((error: unknown) => {
          logger.warning('could not release the Lease', { error });
        });
    },
  };

  /** A conflict with somebody's annotation is no loss: the record read next tells. */
  function stillOwn(): boolean {
    return isLeading() && observed?.holderIdentity === identity;
  }

  /** Until the next try; a leader whose time runs out looks again in time to step down. */
  function waitMs(jitter: number): number {
    const periodMs = options.retryPeriodMs * jitter;
    if (!leading) return periodMs;
    return Math.max(1, Math.min(periodMs, renewedAtMs + options.renewDeadlineMs - now()));
  }
}

function sameRecord(left: LeaseRecord, right: LeaseRecord): boolean {
  return (
    left.holderIdentity === right.holderIdentity &&
    left.renewTime === right.renewTime &&
    left.acquireTime === right.acquireTime &&
    left.leaseTransitions === right.leaseTransitions &&
    left.leaseDurationSeconds === right.leaseDurationSeconds
  );
}

/** `metav1.MicroTime`: six decimals. */
function microTime(time: Date): string {
  return time.toISOString().replace('Z', '000Z');
}
