import { createHash } from 'node:crypto';

import { MirrorError, ERRORS } from '../errors.ts';
import { ERROR_CODE, replayed } from '../subscriber/dead-letter.ts';
import type { TopicPublisher } from '../pubsub/publisher.ts';
import type { PulledMessage } from '../pubsub/puller.ts';
import type { LogFields, Logger } from '../telemetry/logger.ts';

/** What dead letters are republished with. */
export interface RepublishParts {
  readonly publisher: Pick<TopicPublisher, 'publish'>;
  /** MirrorError codes of the messages that are republished; empty: of every one. */
  readonly codes: readonly string[];
  /** Say what would be done: every message is handed back, none is published. */
  readonly dryRun: boolean;
  /** When the run began by a clock of ours, milliseconds since 1970; see {@link CLOCK_MARGIN_MS}. */
  readonly startedAtMs: number;
  /** Told that what is published comes back: the topic is the subscription's own. */
  readonly onLoop: (fault: MirrorError) => void;
  readonly logger: Logger;
}

/**
 * Reads `code=EVENT_INVALID`.
 * @throws Error saying what is wrong
 */
export function parseRepublishFilter(text: string): string {
  const [, code] = /^code=([A-Z_]+)$/.exec(text) ?? [];
  if (code === undefined || !(code in ERRORS)) {
    throw new Error(`wants code=FAULT_CODE, a code of infra/README.md, not '${text}'`);
  }
  return code;
}

/**
 * What was put aside after the run began is left: a message that its reader refuses again comes back within
 * seconds, and would be sent for as long as the run lasts. The broker's clock and ours may differ by so
 * much, in milliseconds: around the beginning a message is left where its like has been republished already.
 */
const CLOCK_MARGIN_MS = 5 * 60_000;

/** What became of the messages. */
export interface RepublishCounts {
  readonly received: number;
  readonly republished: number;
  /** Messages that did not match or could not be published; handed back at the end. */
  readonly handedBack: number;
  readonly failed: number;
  /** Of those handed back: messages that match, but were put aside since the run began or are copies. */
  readonly later: number;
}

/**
 * Publishes dead letters anew with their attributes, less what dead-lettering added. Messages that
 * do not match are kept leased, so that they do not come back at once, and handed back at the end.
 */
export class Republishing {
  readonly #parts: RepublishParts;
  readonly #kept: PulledMessage[] = [];
  readonly #publishing = new Set<Promise<void>>();
  /** Ids of the messages that were published here, and of those that came and are not yet done. */
  readonly #published = new Set<string>();
  readonly #here = new Set<string>();
  /** Of what was republished: its content, and the id that it came with. */
  readonly #contents = new Map<string, string>();
  #looping = false;
  #received = 0;
  #republished = 0;
  #failed = 0;
  #later = 0;

  constructor(parts: RepublishParts) {
    this.#parts = parts;
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
      later: this.#later,
    };
  }

  /** Takes a message. */
  receive(message: PulledMessage): void {
    this.#received += 1;
    const { codes, dryRun, logger } = this.#parts;
    if (this.#published.has(message.id)) this.#tellLoop();
    const wanted = codes.length === 0 || codes.includes(message.attributes[ERROR_CODE] ?? '');
    if (!wanted || this.#looping) {
      this.#kept.push(message);
      return;
    }
    if (this.#isLater(message)) {
      this.#later += 1;
      this.#kept.push(message);
      logger.warning(
        `message ${message.id} is left: put aside since this run began, or a copy of one that it republished`,
        lineFields(message),
      );
      return;
    }
    if (dryRun) {
      this.#republished += 1;
      this.#kept.push(message);
      logger.info(`would republish message ${message.id}`, lineFields(message));
      return;
    }
    this.#here.add(message.id);
    this.#contents.set(contentOf(message), message.id);
    const publishing = this.#publish(message).finally(() => this.#here.delete(message.id));
    this.#publishing.add(publishing);
    void publishing.then(() => this.#publishing.delete(publishing));
  }

  /** Waits for what is being published and hands back the rest. */
  async stop(): Promise<void> {
    await Promise.all(this.#publishing);
    for (const message of this.#kept) message.nack();
  }

  async #publish(message: PulledMessage): Promise<void> {
    const { publisher, logger } = this.#parts;
    try {
      const id = await publisher.publish(replayed(message));
      this.#published.add(id);
      this.#republished += 1;
      message.ack();
      logger.info(`republished message ${message.id}`, lineFields(message));
      if (this.#here.has(id)) this.#tellLoop();
    } catch (error) {
      this.#failed += 1;
      this.#contents.delete(contentOf(message));
      this.#kept.push(message);
      logger.warning(`message ${message.id} could not be republished`, {
        ...lineFields(message),
        error,
      });
    }
  }

  #isLater(message: PulledMessage): boolean {
    const afterStartMs = message.publishedAtMs - this.#parts.startedAtMs;
    if (Math.abs(afterStartMs) > CLOCK_MARGIN_MS) return afterStartMs > 0;
    // A message that is delivered twice is no other one.
    return (this.#contents.get(contentOf(message)) ?? message.id) !== message.id;
  }

  #tellLoop(): void {
    if (this.#looping) return;
    this.#looping = true;
    this.#parts.onLoop(
      new MirrorError('OPTION_INVALID', '--republish names the topic of the drained subscription', {
        operation: 'republish',
        field: '--republish',
      }),
    );
  }
}

function lineFields(message: PulledMessage): LogFields {
  return { messageId: message.id, code: message.attributes[ERROR_CODE] ?? '' };
}

/** What stays the same of an event that is put aside again: its readers may see other attributes of it. */
function contentOf({ attributes, data }: PulledMessage): string {
  return `${attributes['ce-id'] ?? ''} ${createHash('sha256').update(data).digest('base64')}`;
}
