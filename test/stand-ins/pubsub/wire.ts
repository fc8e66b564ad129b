import { requireArgument } from './refusal.ts';

// Shapes of google.pubsub.v1 as proto-loader gives and takes them (camel case, absent messages null);
// pubsub.proto says what each field means.

/** `google.protobuf.Duration`, and a `Timestamp` since the epoch. */
export interface WireDuration {
  readonly seconds: number | string;
  readonly nanos: number;
}

/** `Topic`, the fields that are done and those that are refused. */
export interface WireTopic {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly messageRetentionDuration: WireDuration | null;
  readonly messageStoragePolicy?: object | null;
  readonly schemaSettings?: object | null;
  readonly ingestionDataSourceSettings?: object | null;
  readonly messageTransforms?: readonly object[];
  readonly kmsKeyName?: string;
}

/** `PubsubMessage`. */
export interface WireMessage {
  readonly data: Buffer;
  readonly attributes: Readonly<Record<string, string>>;
  readonly messageId: string;
  readonly publishTime: WireDuration | null;
  readonly orderingKey: string;
}

/** `PushConfig`; without an endpoint it means pull. */
export interface WirePushConfig {
  readonly pushEndpoint: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly oidcToken?: object | null;
  readonly noWrapper?: { readonly writeMetadata: boolean } | null;
}

/** `RetryPolicy`. */
export interface WireRetryPolicy {
  readonly minimumBackoff: WireDuration | null;
  readonly maximumBackoff: WireDuration | null;
}

/** `DeadLetterPolicy`. */
export interface WireDeadLetterPolicy {
  readonly deadLetterTopic: string;
  readonly maxDeliveryAttempts: number;
}

/** `Subscription`, the fields that are done and those that are refused. */
export interface WireSubscription {
  readonly name: string;
  readonly topic: string;
  readonly pushConfig: WirePushConfig | null;
  readonly ackDeadlineSeconds: number;
  readonly messageRetentionDuration: WireDuration | null;
  readonly filter: string;
  readonly deadLetterPolicy: WireDeadLetterPolicy | null;
  readonly retryPolicy: WireRetryPolicy | null;
  readonly retainAckedMessages?: boolean;
  readonly enableMessageOrdering?: boolean;
  readonly enableExactlyOnceDelivery?: boolean;
  readonly bigqueryConfig?: object | null;
  readonly cloudStorageConfig?: object | null;
  readonly bigtableConfig?: object | null;
  readonly messageTransforms?: readonly object[];
}

/** `ReceivedMessage`. */
export interface WireReceivedMessage {
  readonly ackId: string;
  readonly message: WireMessage;
  readonly deliveryAttempt: number;
}

/** One request of a stream; only the first names the subscription. */
export interface WireStreamingPullRequest {
  readonly subscription: string;
  readonly ackIds: readonly string[];
  readonly modifyDeadlineSeconds: readonly number[];
  readonly modifyDeadlineAckIds: readonly string[];
  readonly streamAckDeadlineSeconds: number;
  readonly maxOutstandingMessages: number;
  readonly maxOutstandingBytes: number;
}

/** A minute in milliseconds. */
export const MINUTE_MS = 60_000;
/** A day in milliseconds. */
export const DAY_MS = 24 * 60 * MINUTE_MS;

/** Bounds of how long topics and subscriptions keep messages (pubsub.proto, message_retention_duration). */
const RETENTION_MS = [10 * MINUTE_MS, 31 * DAY_MS] as const;

/** Milliseconds of a duration or timestamp. */
export function millisecondsOf({ seconds, nanos }: WireDuration): number {
  return Number(seconds) * 1_000 + nanos / 1e6;
}

/** A duration or timestamp of milliseconds. */
export function fromMilliseconds(ms: number): WireDuration {
  const seconds = Math.floor(ms / 1_000);
  return { seconds, nanos: Math.round((ms - seconds * 1_000) * 1e6) };
}

/** Milliseconds of a duration within bounds. @throws Refusal `INVALID_ARGUMENT` naming the field */
export function durationWithin(
  duration: WireDuration,
  field: string,
  [minimumMs, maximumMs]: readonly [number, number],
): number {
  const ms = millisecondsOf(duration);
  requireArgument(
    ms >= minimumMs && ms <= maximumMs,
    `${field} is ${ms / 1_000}s: at least ${minimumMs / 1_000}s, at most ${maximumMs / 1_000}s are allowed`,
  );
  return ms;
}

/** Refuses a retention that the product does not take; null: none is asked for. @throws Refusal `INVALID_ARGUMENT` */
export function requireRetention(retention: WireDuration | null): void {
  if (retention === null) return;
  durationWithin(retention, 'message_retention_duration', RETENTION_MS);
}
