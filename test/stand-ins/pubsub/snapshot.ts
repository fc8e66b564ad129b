import { DAY_MS, HOUR_MS, toTimestamp } from './durations.ts';
import type { Message } from './message.ts';
import { Refusal } from './refusal.ts';
import type { WireSnapshot } from './wire.ts';

/** Lifetime of a snapshot less the age of its oldest message, and the least it may be (pubsub.proto, Snapshot.expire_time). */
const LIFETIME_MS = 7 * DAY_MS;
const SHORTEST_LIFETIME_MS = HOUR_MS;

/** What a snapshot is made of. */
export interface SnapshotContent {
  readonly name: string;
  /** Full name of the topic. */
  readonly topic: string;
  readonly labels: Readonly<Record<string, string>>;
  /** The subscription's backlog, oldest first. */
  readonly backlog: readonly Message[];
  /** Messages published later have this sequence or a higher one. */
  readonly nextSequence: number;
}

/** What was unacknowledged in a subscription at one moment, and all that is published after it. */
export class Snapshot {
  readonly content: SnapshotContent;
  readonly expireTimeMs: number;
  readonly #unacknowledged: ReadonlySet<string>;
  readonly #messages: Message[];

  /** @throws Refusal `FAILED_PRECONDITION` where the backlog is so old that less than an hour is left */
  constructor(content: SnapshotContent, nowMs: number) {
    const oldestMs = content.backlog[0]?.publishTimeMs ?? nowMs;
    this.content = content;
    this.expireTimeMs = oldestMs + LIFETIME_MS;
    if (this.expireTimeMs - nowMs < SHORTEST_LIFETIME_MS) {
      throw new Refusal(
        'FAILED_PRECONDITION',
        'The backlog is too old: the snapshot would expire in less than 1 hour',
      );
    }
    this.#unacknowledged = new Set(content.backlog.map(({ messageId }) => messageId));
    this.#messages = [...content.backlog];
  }

  /** Keeps a message that was published to its topic. */
  keep(message: Message): void {
    this.#messages.push(message);
  }

  /** All it keeps, oldest first. */
  get messages(): readonly Message[] {
    return this.#messages;
  }

  /** Whether a message is unacknowledged in it: it was when the snapshot was made, or came later. */
  has(message: Message): boolean {
    return (
      this.#unacknowledged.has(message.messageId) || message.sequence >= this.content.nextSequence
    );
  }

  /** The snapshot as the API tells it. */
  toWire(): WireSnapshot {
    const { name, topic, labels } = this.content;
    return { name, topic, labels, expireTime: toTimestamp(this.expireTimeMs) };
  }
}
