import { DAY_MS, MINUTE_MS, SECOND_MS, durationWithin, toDuration } from './durations.ts';
import { compileFilter } from './filter.ts';
import { requireResourceName } from './names.ts';
import { readPushConfig, toWirePushConfig, type PushConfig } from './push-config.ts';
import { Refusal, requireArgument } from './refusal.ts';
import type { RetryPolicy } from './retry.ts';
import type { WireDeadLetterPolicy, WireRetryPolicy, WireSubscription } from './wire.ts';

/** Where a message goes that was delivered in vain too often. */
export interface DeadLetterPolicy {
  readonly topic: string;
  /** 5 to 100. */
  readonly maxDeliveryAttempts: number;
}

/** A subscription's configuration, checked and with the product's defaults. */
export interface SubscriptionConfig {
  readonly name: string;
  readonly topic: string;
  /** Absent: messages are pulled. */
  readonly push: PushConfig | undefined;
  readonly ackDeadlineMs: number;
  readonly retainAcked: boolean;
  readonly retentionMs: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly ordered: boolean;
  /** How long the subscription may lie unused before it is deleted; undefined: for ever. */
  readonly ttlMs: number | undefined;
  readonly filter: string;
  readonly deadLetter: DeadLetterPolicy | undefined;
  readonly retry: RetryPolicy | undefined;
}

/** Bounds and defaults of pubsub.proto, Subscription, RetryPolicy and DeadLetterPolicy. */
const BOUNDS = {
  ackDeadlineSeconds: { minimum: 10, maximum: 600, default: 10 },
  retentionMs: { minimum: 10 * MINUTE_MS, maximum: 31 * DAY_MS, default: 7 * DAY_MS },
  backoffMs: { minimum: 0, maximum: 600 * SECOND_MS },
  defaultBackoffMs: { minimum: 10 * SECOND_MS, maximum: 600 * SECOND_MS },
  deliveryAttempts: { minimum: 5, maximum: 100, default: 5 },
  ttlMs: { minimum: DAY_MS, default: 31 * DAY_MS },
} as const;

/**
 * Reads and checks a subscription.
 * @throws Refusal `INVALID_ARGUMENT`, `OUT_OF_RANGE`; `UNIMPLEMENTED` for what the stand-in does not do, rather
 * than leaving it undone without a word
 */
export function readSubscription(wire: WireSubscription): SubscriptionConfig {
  requireResourceName(wire.name, 'subscriptions');
  requireResourceName(wire.topic, 'topics');
  requireImplemented(wire);
  compileFilter(wire.filter);
  const retention = wire.messageRetentionDuration;
  return {
    name: wire.name,
    topic: wire.topic,
    push: readPushConfig(wire.pushConfig),
    ackDeadlineMs: readAckDeadline(wire.ackDeadlineSeconds, BOUNDS.ackDeadlineSeconds.default),
    retainAcked: wire.retainAckedMessages,
    retentionMs:
      retention === null
        ? BOUNDS.retentionMs.default
        : durationWithin(
            retention,
            'message_retention_duration',
            BOUNDS.retentionMs.minimum,
            BOUNDS.retentionMs.maximum,
          ),
    labels: wire.labels,
    ordered: wire.enableMessageOrdering,
    ttlMs: readTtl(wire.expirationPolicy),
    filter: wire.filter,
    deadLetter: readDeadLetter(wire.deadLetterPolicy),
    retry: readRetry(wire.retryPolicy),
  };
}

/** The subscription as the API tells it; `topicRetentionMs` is its topic's. */
export function toWireSubscription(
  config: SubscriptionConfig,
  topicRetentionMs: number | undefined,
): WireSubscription {
  const { deadLetter, retry } = config;
  return {
    name: config.name,
    topic: config.topic,
    pushConfig: toWirePushConfig(config.push),
    ackDeadlineSeconds: config.ackDeadlineMs / SECOND_MS,
    retainAckedMessages: config.retainAcked,
    messageRetentionDuration: toDuration(config.retentionMs),
    labels: config.labels,
    enableMessageOrdering: config.ordered,
    expirationPolicy: { ttl: config.ttlMs === undefined ? null : toDuration(config.ttlMs) },
    filter: config.filter,
    deadLetterPolicy:
      deadLetter === undefined
        ? null
        : {
            deadLetterTopic: deadLetter.topic,
            maxDeliveryAttempts: deadLetter.maxDeliveryAttempts,
          },
    retryPolicy:
      retry === undefined
        ? null
        : {
            minimumBackoff: toDuration(retry.minimumBackoffMs),
            maximumBackoff: toDuration(retry.maximumBackoffMs),
          },
    topicMessageRetentionDuration:
      topicRetentionMs === undefined ? null : toDuration(topicRetentionMs),
    state: 'ACTIVE',
  };
}

/** Milliseconds of an ack deadline in seconds, 10 to 600; 0 means `whenZero` seconds. @throws Refusal `INVALID_ARGUMENT` */
export function readAckDeadline(seconds: number, whenZero: number): number {
  const { minimum, maximum } = BOUNDS.ackDeadlineSeconds;
  const chosen = seconds === 0 ? whenZero : seconds;
  requireArgument(
    chosen >= minimum && chosen <= maximum,
    `ack_deadline_seconds is ${seconds}: ${minimum} to ${maximum} are allowed`,
  );
  return chosen * SECOND_MS;
}

function readTtl(policy: WireSubscription['expirationPolicy']): number | undefined {
  if (policy === null) return BOUNDS.ttlMs.default;
  if (policy.ttl === null) return undefined;
  return durationWithin(policy.ttl, 'expiration_policy.ttl', BOUNDS.ttlMs.minimum, Infinity);
}

function readRetry(policy: WireRetryPolicy | null): RetryPolicy | undefined {
  if (policy === null) return undefined;
  const read = (field: 'minimumBackoff' | 'maximumBackoff', otherwise: number): number => {
    const duration = policy[field];
    const { minimum, maximum } = BOUNDS.backoffMs;
    return duration === null
      ? otherwise
      : durationWithin(duration, `retry_policy.${field}`, minimum, maximum);
  };
  const minimumBackoffMs = read('minimumBackoff', BOUNDS.defaultBackoffMs.minimum);
  const maximumBackoffMs = read('maximumBackoff', BOUNDS.defaultBackoffMs.maximum);
  requireArgument(
    minimumBackoffMs <= maximumBackoffMs,
    'retry_policy.minimum_backoff is longer than its maximum_backoff',
  );
  return { minimumBackoffMs, maximumBackoffMs };
}

function readDeadLetter(policy: WireDeadLetterPolicy | null): DeadLetterPolicy | undefined {
  if (policy === null) return undefined;
  requireResourceName(policy.deadLetterTopic, 'topics');
  const { minimum, maximum, default: otherwise } = BOUNDS.deliveryAttempts;
  const attempts = policy.maxDeliveryAttempts === 0 ? otherwise : policy.maxDeliveryAttempts;
  if (attempts < minimum || attempts > maximum) {
    throw new Refusal(
      'OUT_OF_RANGE',
      `dead_letter_policy.max_delivery_attempts is ${attempts}: ${minimum} to ${maximum} are allowed`,
    );
  }
  return { topic: policy.deadLetterTopic, maxDeliveryAttempts: attempts };
}

function requireImplemented(wire: WireSubscription): void {
  const missing = [
    wire.enableExactlyOnceDelivery === true && 'enable_exactly_once_delivery',
    wire.bigqueryConfig != null && 'bigquery_config',
    wire.cloudStorageConfig != null && 'cloud_storage_config',
    wire.bigtableConfig != null && 'bigtable_config',
    (wire.messageTransforms?.length ?? 0) > 0 && 'message_transforms',
  ].filter((field) => field !== false);
  if (missing.length > 0) {
    throw new Refusal('UNIMPLEMENTED', `The stand-in does not do ${missing.join(', ')}`);
  }
}
