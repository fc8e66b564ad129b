import { DAY_MS, MINUTE_MS, durationWithin, toDuration } from './durations.ts';
import type { Message } from './message.ts';
import { requireResourceName } from './names.ts';
import { Refusal } from './refusal.ts';
import type { WireTopic } from './wire.ts';

/** A topic's configuration, checked. */
export interface TopicConfig {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** How long messages stay replayable whatever the subscriptions do; undefined: not at all. */
  readonly retentionMs: number | undefined;
}

/** Bounds of pubsub.proto, Topic.message_retention_duration. */
const RETENTION_MS = { minimum: 10 * MINUTE_MS, maximum: 31 * DAY_MS };

/** How many messages a topic without retention remembers for views; they cannot be replayed. */
const REMEMBERED = 1_000;

/** Reads and checks a topic. @throws Refusal `INVALID_ARGUMENT`, `UNIMPLEMENTED` */
export function readTopic(wire: WireTopic): TopicConfig {
  requireResourceName(wire.name, 'topics');
  const missing = [
    wire.messageStoragePolicy != null && 'message_storage_policy',
    wire.schemaSettings != null && 'schema_settings',
    wire.ingestionDataSourceSettings != null && 'ingestion_data_source_settings',
    (wire.messageTransforms?.length ?? 0) > 0 && 'message_transforms',
    (wire.kmsKeyName ?? '') !== '' && 'kms_key_name',
  ].filter((field) => field !== false);
  if (missing.length > 0) {
    throw new Refusal('UNIMPLEMENTED', `The stand-in does not do ${missing.join(', ')}`);
  }
  const retention = wire.messageRetentionDuration;
  return {
    name: wire.name,
    labels: wire.labels,
    retentionMs:
      retention === null
        ? undefined
        : durationWithin(
            retention,
            'message_retention_duration',
            RETENTION_MS.minimum,
            RETENTION_MS.maximum,
          ),
  };
}

/** The topic as the API tells it. */
export function toWireTopic(config: TopicConfig): WireTopic {
  return {
    name: config.name,
    labels: config.labels,
    messageRetentionDuration:
      config.retentionMs === undefined ? null : toDuration(config.retentionMs),
    state: 'ACTIVE',
  };
}

/** A topic with the messages it keeps. */
export class Topic {
  config: TopicConfig;
  /** Messages published since the topic was made. */
  published = 0;
  #messages: Message[] = [];

  constructor(config: TopicConfig) {
    this.config = config;
  }

  /** Keeps a message for the topic's retention. */
  keep(message: Message, nowMs: number): void {
    this.published += 1;
    this.#messages.push(message);
    this.#purge(nowMs);
  }

  /** What a subscription may replay, oldest first; nothing without retention. */
  retained(nowMs: number): readonly Message[] {
    this.#purge(nowMs);
    return this.config.retentionMs === undefined ? [] : this.#messages;
  }

  /** What the topic remembers, oldest first: the retained messages, else the last 1,000 at least. */
  remembered(nowMs: number): readonly Message[] {
    this.#purge(nowMs);
    return this.#messages;
  }

  #purge(nowMs: number): void {
    const { retentionMs } = this.config;
    if (retentionMs === undefined) {
      // Cut now and then, so that a long run costs no shift for each message.
      if (this.#messages.length > 2 * REMEMBERED) this.#messages.splice(0, REMEMBERED);
      return;
    }
    const oldestMs = nowMs - retentionMs;
    const kept = this.#messages.findIndex(({ publishTimeMs }) => publishTimeMs >= oldestMs);
    if (kept !== 0) this.#messages.splice(0, kept === -1 ? this.#messages.length : kept);
  }
}
