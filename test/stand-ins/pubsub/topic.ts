import type { Message } from './message.ts';
import { requireResourceName } from './names.ts';
import { requireImplemented } from './refusal.ts';
import { requireRetention, type WireTopic } from './wire.ts';

/** How many messages a topic without retention remembers for views; they cannot be replayed. */
const REMEMBERED = 1_000;

/**
 * A topic with the messages it keeps: all of them under retention, which is 10 minutes at least and
 * so longer than a stand-in's messages need.
 */
export class Topic {
  /** As the API tells it. */
  readonly wire: WireTopic;
  /** Messages published since the topic was made. */
  published = 0;
  readonly #messages: Message[] = [];

  /** @throws Refusal `INVALID_ARGUMENT`, `UNIMPLEMENTED` */
  constructor(wire: WireTopic) {
    requireResourceName(wire.name, 'topics');
    requireImplemented(
      wire.messageStoragePolicy != null && 'message_storage_policy',
      wire.schemaSettings != null && 'schema_settings',
      wire.ingestionDataSourceSettings != null && 'ingestion_data_source_settings',
      (wire.messageTransforms?.length ?? 0) > 0 && 'message_transforms',
      (wire.kmsKeyName ?? '') !== '' && 'kms_key_name',
    );
    requireRetention(wire.messageRetentionDuration);
    this.wire = wire;
  }

  get name(): string {
    return this.wire.name;
  }

  /** Keeps a message. */
  keep(message: Message): void {
    this.published += 1;
    this.#messages.push(message);
    if (this.#retains || this.#messages.length <= 2 * REMEMBERED) return;
    // Cut now and then, so that a long run costs no shift for each message.
    this.#messages.splice(0, REMEMBERED);
  }

  /** What a subscription may replay, oldest first; nothing without retention. */
  get retained(): readonly Message[] {
    return this.#retains ? this.#messages : [];
  }

  /** What the topic remembers, oldest first: the retained messages, else the last 1,000 at least. */
  get remembered(): readonly Message[] {
    return this.#messages;
  }

  get #retains(): boolean {
    return this.wire.messageRetentionDuration !== null;
  }
}
