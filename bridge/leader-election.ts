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
  return new LeaseCompetition(options);
}

class LeaseCompetition implements LeaderElection {
  readonly #options: LeaderElectionOptions;
  #observed: LeaseRecord | undefined;
  /** When the record was last seen to have changed. */
  #observedAtMs = 0;
  /** Whether it was ever seen to change: only then is the time of a renewal known. */
  #renewalSeen = false;
  #renewedAtMs = -Infinity;
  #leading = false;

  constructor(options: LeaderElectionOptions) {
    this.#options = options;
  }

  isLeading(): boolean {
    const { now, renewDeadlineMs } = this.#options;
    return this.#leading && now() < this.#renewedAtMs + renewDeadlineMs;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { logger, identity } = this.#options;
    while (!signal.aborted) {
      let error: unknown;
      const held = await this.#tryAcquireOrRenew().catch((cause: unknown) => {
        error = cause;
        return false;
      });
      if (error !== undefined) {
        const fault = toFault(error, 'renew Lease');
        logger.error('cannot reach the Lease; trying again', { error: fault });
      }
      // Lost to another: at once. Not reached: after the renew deadline.
      const own = error !== undefined || this.#observed?.holderIdentity === identity;
      if (this.#leading && !held && !(own && this.isLeading())) {
        logger.error('lost the Lease; standing by', { identity });
        this.#stepDown();
      }
      await sleep(this.#waitMs(), signal);
    }
  }

  async release(): Promise<void> {
    const { store, identity, releaseOnCancel, logger, wallNow } = this.#options;
    const record = this.#observed;
    const held = this.#leading && record?.holderIdentity === identity;
    this.#stepDown();
    if (!held || !releaseOnCancel) return;
    const at = microTime(wallNow());
    try {
      await store.write({
        ...record,
        holderIdentity: '',
        // As client-go: the field must be positive.
        leaseDurationSeconds: 1,
        acquireTime: at,
        renewTime: at,
        annotations: this.#annotationsAfter(record),
      });
      logger.info('released the Lease', { identity });
    } catch (error) {
      logger.warning('could not release the Lease', { error });
    }
  }

  /** Tries to make, take or renew the Lease. */
  async #tryAcquireOrRenew(): Promise<boolean> {
    const { store, identity, logger, now, onStarted } = this.#options;
    const startedMs = now();
    const before = await store.read();
    if (before === undefined) this.#observed = undefined;
    else this.#observe(before);
    if (before !== undefined && before.holderIdentity !== identity && this.#isHeld(before)) {
      return false;
    }
    const sinceMs = before === undefined ? -Infinity : this.#unpublishedSinceMs(before);
    const written = await store.write(this.#recordAfter(before));
    if (written === undefined) return false;
    // What was written may be as old as the beginning of the try.
    this.#renewedAtMs = startedMs;
    this.#observed = written;
    this.#observedAtMs = now();
    this.#renewalSeen = true;
    if (!this.#leading) {
      this.#leading = true;
      logger.info('became leader', { identity, transitions: written.leaseTransitions });
      onStarted(sinceMs);
    }
    return true;
  }

  #observe(record: LeaseRecord): void {
    const { now, identity, onObserved } = this.#options;
    const before = this.#observed;
    this.#observed = record;
    if (before !== undefined && sameRecord(before, record)) return;
    if (before !== undefined) this.#renewalSeen = true;
    this.#observedAtMs = now();
    if (record.holderIdentity !== identity) onObserved(this.#unpublishedSinceMs(record));
  }

  /** From when on what was seen may be unpublished, by what the leader last wrote. */
  #unpublishedSinceMs(record: LeaseRecord): number {
    if (!this.#renewalSeen) return -Infinity;
    const oldest = Date.parse(record.annotations[OLDEST_UNPUBLISHED] ?? '');
    const renewed = Date.parse(record.renewTime);
    // Both are of the leader's clock: only their difference is used.
    const ageMs = Number.isNaN(oldest) || Number.isNaN(renewed) ? 0 : Math.max(0, renewed - oldest);
    return this.#observedAtMs - ageMs - this.#options.leaseDurationMs;
  }

  #isHeld(record: LeaseRecord): boolean {
    const endMs = this.#observedAtMs + record.leaseDurationSeconds * 1000;
    return record.holderIdentity !== '' && this.#options.now() < endMs;
  }

  #recordAfter(before: LeaseRecord | undefined): LeaseRecord {
    const { identity, leaseDurationMs, wallNow } = this.#options;
    const at = microTime(wallNow());
    const own = before?.holderIdentity === identity;
    return {
      holderIdentity: identity,
      leaseDurationSeconds: Math.ceil(leaseDurationMs / 1000),
      acquireTime: own ? before.acquireTime : at,
      renewTime: at,
      leaseTransitions: before === undefined ? 0 : before.leaseTransitions + (own ? 0 : 1),
      annotations: this.#annotationsAfter(before),
      metadata: before?.metadata,
    };
  }

  #annotationsAfter(before: LeaseRecord | undefined): Readonly<Record<string, string>> {
    const { [OLDEST_UNPUBLISHED]: _replaced, ...others } = before?.annotations ?? {};
    const oldest = this.#options.oldestUnpublished();
    return oldest === undefined ? others : { ...others, [OLDEST_UNPUBLISHED]: microTime(oldest) };
  }

  #stepDown(): void {
    if (!this.#leading) return;
    this.#leading = false;
    this.#options.onStopped();
  }

  /** Until the next try; a leader whose time runs out looks again in time to step down. */
  #waitMs(): number {
    const { retryPeriodMs, renewDeadlineMs, now } = this.#options;
    if (!this.#leading) return retryPeriodMs * (1 + Math.random() * (JITTER_FACTOR - 1));
    return Math.max(1, Math.min(retryPeriodMs, this.#renewedAtMs + renewDeadlineMs - now()));
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
