import { requireResourceName } from './names.ts';
import { Refusal, requireArgument, requireImplemented } from './refusal.ts';
import {
  DAY_MS,
  durationWithin,
  fromMilliseconds,
  requireRetention,
  type WireDeadLetterPolicy,
  type WirePushConfig,
  type WireRetryPolicy,
  type WireSubscription,
} from './wire.ts';

/** How a subscription pushes. */
export interface PushConfig {
  readonly endpoint: string;
  /** `wrapped`: the message as JSON; `unwrapped`: its data alone; `unwrapped-with-metadata`: headers tell the rest. */
  readonly format: 'wrapped' | 'unwrapped' | 'unwrapped-with-metadata';
}

/** Where a message goes that was delivered in vain too often. */
export interface DeadLetterPolicy {
  readonly topic: string;
  /** 5 to 100. */
  readonly maxDeliveryAttempts: number;
}

/** How redelivery waits; absent in a subscription: a message comes again as soon as possible. */
export interface RetryPolicy {
  readonly minimumBackoffMs: number;
  readonly maximumBackoffMs: number;
}

/** A subscription's configuration, checked. */
export interface SubscriptionConfig {
  readonly name: string;
  readonly topic: string;
  /** Absent: messages are pulled. */
  readonly push: PushConfig | undefined;
  readonly ackDeadlineMs: number;
  readonly deadLetter: DeadLetterPolicy | undefined;
  readonly retry: RetryPolicy | undefined;
  /** As the API tells it, with the product's defaults. */
  readonly wire: WireSubscription;
}

/** Bounds and defaults of pubsub.proto: Subscription, RetryPolicy, DeadLetterPolicy. */
const ACK_DEADLINE_SECONDS = { minimum: 10, maximum: 600, default: 10 } as const;
const DEFAULT_RETENTION_MS = 7 * DAY_MS;
const BACKOFF_MS = [0, 600_000] as const;
const DEFAULT_BACKOFF_MS = { minimum: 10_000, maximum: 600_000 } as const;
const DELIVERY_ATTEMPTS = { minimum: 5, maximum: 100, default: 5 } as const;

/**
 * Reads and checks a subscription. Labels and the expiration, of a day at least, are kept and told.
 * @throws Refusal `INVALID_ARGUMENT`, `OUT_OF_RANGE`, `UNIMPLEMENTED`
 */
export function readSubscription(wire: WireSubscription): SubscriptionConfig {
  requireResourceName(wire.name, 'subscriptions');
  requireResourceName(wire.topic, 'topics');
  requireImplemented(
    wire.filter !== '' && 'filter',
    wire.retainAckedMessages === true && 'retain_acked_messages',
    wire.enableMessageOrdering === true && 'enable_message_ordering',
    wire.enableExactlyOnceDelivery === true && 'enable_exactly_once_delivery',
    wire.bigqueryConfig != null && 'bigquery_config',
    wire.cloudStorageConfig != null && 'cloud_storage_config',
    wire.bigtableConfig != null && 'bigtable_config',
    (wire.messageTransforms?.length ?? 0) > 0 && 'message_transforms',
  );
  requireRetention(wire.messageRetentionDuration);
  const ackDeadlineMs = readAckDeadline(wire.ackDeadlineSeconds || ACK_DEADLINE_SECONDS.default);
  return {
    name: wire.name,
    topic: wire.topic,
    push: readPushConfig(wire.pushConfig),
    ackDeadlineMs,
    deadLetter: readDeadLetter(wire.deadLetterPolicy),
    retry: readRetry(wire.retryPolicy),
    wire: {
      ...wire,
      ackDeadlineSeconds: ackDeadlineMs / 1_000,
      messageRetentionDuration:
        wire.messageRetentionDuration ?? fromMilliseconds(DEFAULT_RETENTION_MS),
    },
  };
}

/** Milliseconds of an ack deadline in seconds, 10 to 600. @throws Refusal `INVALID_ARGUMENT` */
export function readAckDeadline(seconds: number): number {
  const { minimum, maximum } = ACK_DEADLINE_SECONDS;
  requireArgument(
    seconds >= minimum && seconds <= maximum,
    `ack_deadline_seconds is ${seconds}: ${minimum} to ${maximum} are allowed`,
  );
  return seconds * 1_000;
}

/**
 * Reads a push configuration; an empty one means pull. The product wants https, here http is
 * taken too: everything is on one machine.
 * @throws Refusal `INVALID_ARGUMENT`, `UNIMPLEMENTED`
 */
export function readPushConfig(wire: WirePushConfig | null): PushConfig | undefined {
  requireImplemented(wire?.oidcToken != null && 'push_config.oidc_token');
  const endpoint = wire?.pushEndpoint ?? '';
  if (endpoint === '') {
    requireArgument(
      wire?.noWrapper == null,
      'push_config without push_endpoint takes no no_wrapper',
    );
    return undefined;
  }
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  requireArgument(
    url?.protocol === 'https:' || url?.protocol === 'http:',
    `push_config.push_endpoint is no URL: ${endpoint}`,
  );
  const unwrapped =
    wire?.noWrapper?.writeMetadata === true ? 'unwrapped-with-metadata' : 'unwrapped';
  return { endpoint, format: wire?.noWrapper == null ? 'wrapped' : unwrapped };
}

/**
 * How long a message waits after its `failures`-th failed delivery: the minimum, doubled with each
 * further failure up to the maximum (Pub/Sub, "Handle message failures", exponential backoff); 0
 * without a policy.
 */
export function retryDelayMs(policy: RetryPolicy | undefined, failures: number): number {
  if (policy === undefined) return 0;
  // 2^40 doublings of a millisecond are past every maximum, and far from Infinity times 0.
  const doublings = Math.min(Math.max(failures - 1, 0), 40);
  return Math.min(policy.minimumBackoffMs * 2 ** doublings, policy.maximumBackoffMs);
}

function readRetry(policy: WireRetryPolicy | null): RetryPolicy | undefined {
  if (policy === null) return undefined;
  const { minimumBackoff, maximumBackoff } = policy;
  const minimumBackoffMs =
    minimumBackoff === null
      ? DEFAULT_BACKOFF_MS.minimum
      : durationWithin(minimumBackoff, 'retry_policy.minimum_backoff', BACKOFF_MS);
  const maximumBackoffMs =
    maximumBackoff === null
      ? DEFAULT_BACKOFF_MS.maximum
      : durationWithin(maximumBackoff, 'retry_policy.maximum_backoff', BACKOFF_MS);
  requireArgument(
    minimumBackoffMs <= maximumBackoffMs,
    'retry_policy.minimum_backoff is longer than its maximum_backoff',
  );
  return { minimumBackoffMs, maximumBackoffMs };
}

function readDeadLetter(policy: WireDeadLetterPolicy | null): DeadLetterPolicy | undefined {
  if (policy === null) return undefined;
  requireResourceName(policy.deadLetterTopic, 'topics');
  const { minimum, maximum, default: otherwise } = DELIVERY_ATTEMPTS;
  const attempts = policy.maxDeliveryAttempts === 0 ? otherwise : policy.maxDeliveryAttempts;
  if (attempts < minimum || attempts > maximum) {
    throw new Refusal(
      'OUT_OF_RANGE',
      `dead_letter_policy.max_delivery_attempts is ${attempts}: ${minimum} to ${maximum} are allowed`,
    );
  }
  return { topic: policy.deadLetterTopic, maxDeliveryAttempts: attempts };
}
