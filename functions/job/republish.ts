import { ERROR_CODE, replayed } from '../subscriber/dead-letter.ts';
import type { Publisher } from '../pubsub/publisher.ts';
import type { PulledMessage } from '../pubsub/puller.ts';
import type { Logger } from '../telemetry/logger.ts';

/** What of the dead letters is republished. */
export interface RepublishFilter {
  /** Fault codes; empty: every message. */
  readonly codes: readonly string[];
}

/**
 * Reads `code=EVENT_INVALID`.
 * @throws Error saying what is wrong
 */
export function parseRepublishFilter(text: string): string {
  const [, code] = /^code=([A-Z_]+)$/.exec(text) ?? [];
  if (code === undefined) throw new Error(`wants code=FAULT_CODE, not '${text}'`);
  return code;
}

/** What became of the messages. */
export interface RepublishCounts {
  readonly received: number;
  readonly republished: number;
  /** Messages that did not match or could not be published; handed back at the end. */
  readonly handedBack: number;
  readonly failed: number;
}

/**
 * Publishes dead letters anew with their attributes, less what dead-lettering added. Messages that
 * do not match are kept leased, so that they do not come back at once, and handed back at the end.
 */
export class Republishing {
  readonly #publisher: Publisher;
  readonly #filter: RepublishFilter;
  readonly #logger: Logger;
  readonly #kept: PulledMessage[] = [];
  readonly #publishing = new Set<Promise<void>>();
  #received = 0;
  #republished = 0;
  #failed = 0;

  constructor(publisher: Publisher, filter: RepublishFilter, logger: Logger) {
    this.#publisher = publisher;
    this.#filter = filter;
    this.#logger = logger;
  }

  /** Whether nothing is being published; messages that are kept do not count. */
  get idle(): boolean {
    return this.#publishing.size === 0;
  }

  get counts(): RepublishCounts {
    return {
      received: this.#received,
      republished: this.#republished,
      handedBack: this.#kept.length,
      failed: this.#failed,
    };
  }

  /** Takes a message. */
  receive(message: PulledMessage): void {
    this.#received += 1;
    const { codes } = this.#filter;
    if (codes.length > 0 && !codes.includes(message.attributes[ERROR_CODE] ?? '')) {
      this.#kept.push(message);
      return;
    }
    const publishing = this.#publish(message);
    this.#publishing.add(publishing);
    void publishing.then(() => this.#publishing.delete(publishing));
  }

  /** Waits for what is being published and hands back the rest. */
  async stop(): Promise<void> {
    await Promise.all(this.#publishing);
    for (const message of this.#kept) message.nack();
  }

  async #publish(message: PulledMessage): Promise<void> {
    try {
      await this.#publisher.publish(replayed(message));
      this.#republished += 1;
      message.ack();
      this.#logger.info(`republished message ${message.id}`, {
        messageId: message.id,
        code: message.attributes[ERROR_CODE] ?? '',
      });
    } catch (error) {
      this.#failed += 1;
      this.#kept.push(message);
      this.#logger.warning(`message ${message.id} could not be republished`, {
        messageId: message.id,
        error,
      });
    }
  }
}
