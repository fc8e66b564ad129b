import { encodeHeartbeat, type Heartbeat } from '../functions/contract/heartbeat.ts';
import type { Logger } from '../functions/telemetry/logger.ts';
import type { EventPublisher } from './publisher.ts';
import { sleep } from './backoff.ts';

/** Time between two signs of life. The alert opens after 15 minutes, three of them. */
const HEARTBEAT_INTERVAL_MS = 300_000;
/** Time until the next attempt after one that Pub/Sub did not take. */
const RETRY_MS = 30_000;

interface HeartbeatOptions {
  readonly publisher: Pick<EventPublisher, 'publishMessage'>;
  /** What is said of the bridge at this moment. */
  readonly figures: () => Heartbeat;
  /** Whether this replica publishes: a standby is no sign that anything is published. */
  readonly isLeading: () => boolean;
  readonly logger: Logger;
  /** Monotonic clock, ms. */
  readonly now: () => number;
}

/**
 * Tells the subscriber every 5 minutes that this cluster's bridge publishes. Whoever counts them notices a
 * bridge that is dead, and one that may not publish, without looking into the cluster.
 */
export class Heartbeats {
  readonly #options: HeartbeatOptions;
  #nextAtMs = -Infinity;
  #underWay: Promise<void> | undefined;

  constructor(options: HeartbeatOptions) {
    this.#options = options;
  }

  /** Publishes one where it is due and none is under way. */
  tick(): void {
    const { isLeading, now } = this.#options;
    if (this.#underWay !== undefined || !isLeading() || now() < this.#nextAtMs) return;
    this.#underWay = this.#publish().finally(() => {
      this.#underWay = undefined;
    });
  }

  /**
   * Resolves when none is under way, or after so long: nobody misses one that no broker takes, and with
   * the publisher's own time limits Kubernetes would end the process before it has given the Lease up.
   */
  async idle(timeoutMs: number): Promise<void> {
    const over = new AbortController();
    await Promise.race([this.#underWay, sleep(timeoutMs, over.signal)]);
    over.abort();
  }

  async #publish(): Promise<void> {
    const { publisher, figures, logger, now } = this.#options;
    const fault = await publisher.publishMessage('events', encodeHeartbeat(figures(), new Date()));
    this.#nextAtMs = now() + (fault === undefined ? HEARTBEAT_INTERVAL_MS : RETRY_MS);
    if (fault === undefined) logger.debug('told the subscriber that this bridge publishes');
    else logger.warning(`could not publish a sign of life: ${fault.message}`, { error: fault });
  }
}
