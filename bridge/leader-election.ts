import { createHash } from 'node:crypto';

import { toMirrorError } from '../functions/errors.ts';
import type { Logger } from '../functions/telemetry/logger.ts';
import type { LeaseRecord, LeaseStore } from './kubernetes/leases.ts';
import { isAborted, sleep } from './backoff.ts';

/** The bridge's name among controllers. */
export const CONTROLLER_NAME = 'imagerepo-mirror';

/** Standbys do not come in step: up to this part of the period is added, as client-go adds. */
const JITTER = 0.2;
/** A replica that has seen nothing yet takes the Lease where nobody held it for so many durations. */
const BLIND_DURATIONS = 2;
/** How long the process's end waits for the Lease to be given up; it ends by itself otherwise. */
const RELEASE_TIMEOUT_MS = 2000;

/** The Lease, its times, and who is told of the leadership. */
export interface LeaderElectionOptions {
  readonly store: LeaseStore;
  /** Unique to this process: `HOSTNAME_UUID`. */
  readonly identity: string;
  readonly leaseDurationMs: number;
  readonly renewDeadlineMs: number;
  readonly retryPeriodMs: number;
  readonly releaseOnCancel: boolean;
  readonly logger: Logger;
  /**
   * Whether this replica has seen all there is to publish. One that has not leaves the Lease to
   * those that have, and takes it only where nobody held it for two lease durations; it does not
   * renew what it took so.
   */
  readonly hasSeenAll: () => boolean;
  /** This replica leads from now on. */
  readonly onStarted: () => void;
  /** It does no longer. */
  readonly onStopped: () => void;
  /** Monotonic clock, ms. */
  readonly now: () => number;
  /** Wall clock. */
  readonly wallNow: () => Date;
}

/** The competition for one Lease. */
export interface LeaderElection {
  /** Whether this replica holds the Lease and can be sure that nobody else does. */
  isLeading(): boolean;
  /** Since when it leads, ms of the monotonic clock; undefined: it does not. */
  leadingSinceMs(): number | undefined;
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
  #renewedAtMs = -Infinity;
  /** Since when the Lease is free, as far as was seen; undefined while somebody holds it. */
  #freeSinceMs: number | undefined;
  /** Whether it was said that the Lease is free and left to others. */
  #saidFree = false;
  /** Undefined: not leading. */
  #leadingSinceMs: number | undefined;

  constructor(options: LeaderElectionOptions) {
    this.#options = options;
  }

  isLeading(): boolean {
    const { now, renewDeadlineMs } = this.#options;
    return this.#leadingSinceMs !== undefined && now() < this.#renewedAtMs + renewDeadlineMs;
  }

  leadingSinceMs(): number | undefined {
    return this.isLeading() ? this.#leadingSinceMs : undefined;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { logger, identity } = this.#options;
    while (!signal.aborted) {
      let error: unknown;
      const held = await this.#tryAcquireOrRenew(signal).catch((cause: unknown) => {
        error = cause;
        return false;
      });
      if (isAborted(signal)) return;
      if (error !== undefined) {
        const fault = toMirrorError(error, 'renew Lease');
        logger.error('cannot reach the Lease; trying again', { error: fault });
      }
      // Lost to another: at once. Not reached: after the renew deadline.
      const own = error !== undefined || this.#observed?.holderIdentity === identity;
      if (this.#leadingSinceMs !== undefined && !held && !(own && this.isLeading())) {
        logger.error('lost the Lease; standing by', { identity });
        this.#stepDown();
      }
      await sleep(this.#waitMs(), signal);
    }
  }

  async release(): Promise<void> {
    const { store, identity, releaseOnCancel, logger, wallNow } = this.#options;
    const held = this.#leadingSinceMs !== undefined;
    this.#stepDown();
    if (!held || !releaseOnCancel) return;
    const at = microTime(wallNow());
    const signal = AbortSignal.timeout(RELEASE_TIMEOUT_MS);
    try {
      // Read again: whether a renewal that the end interrupted was written is not known.
      const record = await store.read(signal);
      if (record?.holderIdentity !== identity) return;
      await store.write(
        {
          ...record,
          holderIdentity: '',
          // As client-go: the field must be positive.
          leaseDurationSeconds: 1,
          acquireTime: at,
          renewTime: at,
        },
        signal,
      );
      logger.info('released the Lease', { identity });
    } catch (error) {
      logger.warning('could not release the Lease', { error });
    }
  }

  /** Tries to make, take or renew the Lease. */
  async #tryAcquireOrRenew(signal: AbortSignal): Promise<boolean> {
    const { store, identity, logger, now, onStarted } = this.#options;
    const startedMs = now();
    const before = await store.read(signal);
    this.#observe(before);
    const free = before === undefined || !this.#isHeld(before);
    if (!free && before.holderIdentity !== identity) return false;
    if (!this.#mayHold()) return false;
    const written = await store.write(this.#recordAfter(before), signal);
    if (written === undefined) return false;
    // What was written may be as old as the beginning of the try.
    this.#renewedAtMs = startedMs;
    this.#observed = written;
    this.#observedAtMs = now();
    this.#freeSinceMs = undefined;
    if (this.#leadingSinceMs === undefined) {
      this.#leadingSinceMs = startedMs;
      logger.info('became leader', { identity, transitions: written.leaseTransitions });
      onStarted();
    }
    return true;
  }

  #observe(record: LeaseRecord | undefined): void {
    const { now } = this.#options;
    const before = this.#observed;
    this.#observed = record;
    if (record !== undefined && (before === undefined || !sameRecord(before, record))) {
      this.#observedAtMs = now();
    }
    if (record !== undefined && this.#isHeld(record)) {
      this.#freeSinceMs = undefined;
      this.#saidFree = false;
    } else this.#freeSinceMs ??= now();
  }

  /** Whether this replica may take or renew a Lease that nobody else holds. */
  #mayHold(): boolean {
    const { hasSeenAll, leaseDurationMs, logger, now, identity } = this.#options;
    if (hasSeenAll()) return true;
    // Held by this replica: it ends with its duration, so that one that has seen all can take it.
    if (this.#freeSinceMs === undefined) return false;
    if (now() - this.#freeSinceMs >= BLIND_DURATIONS * leaseDurationMs) return true;
    if (!this.#saidFree) {
      this.#saidFree = true;
      logger.info('the Lease is free; it is left to others until the first list is complete', {
        identity,
      });
    }
    return false;
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
      ...before,
      holderIdentity: identity,
      leaseDurationSeconds: Math.ceil(leaseDurationMs / 1000),
      acquireTime: own ? before.acquireTime : at,
      renewTime: at,
      leaseTransitions: before === undefined ? 0 : before.leaseTransitions + (own ? 0 : 1),
    };
  }

  #stepDown(): void {
    if (this.#leadingSinceMs === undefined) return;
    this.#leadingSinceMs = undefined;
    this.#options.onStopped();
  }

  /** Until the next try; a leader whose time runs out looks again in time to step down. */
  #waitMs(): number {
    const { retryPeriodMs, renewDeadlineMs, now } = this.#options;
    if (this.#leadingSinceMs === undefined) return retryPeriodMs * (1 + Math.random() * JITTER);
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
