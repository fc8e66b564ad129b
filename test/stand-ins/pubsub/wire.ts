// Shapes of google.pubsub.v1 as proto-loader gives and takes them (camel case, absent messages null);
// pubsub.proto says what each field means.

/** `google.protobuf.Duration`. */
export interface WireDuration {
  readonly seconds: number | string;
  readonly nanos: number;
}

/** `google.protobuf.Timestamp`. */
export type WireTimestamp = WireDuration;

/** `google.protobuf.FieldMask`: paths in snake case. */
export interface WireFieldMask {
  readonly paths: readonly string[];
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
  readonly state?: string;
}

/** `PubsubMessage`. */
export interface WireMessage {
  readonly data: Buffer;
  readonly attributes: Readonly<Record<string, string>>;
  readonly messageId: string;
  readonly publishTime: WireTimestamp | null;
  readonly orderingKey: string;
}

/** `PushConfig`; without an endpoint it means pull. */
export interface WirePushConfig {
  readonly pushEndpoint: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly oidcToken?: { readonly serviceAccountEmail: string; readonly audience: string } | null;
  readonly pubsubWrapper?: object | null;
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
  readonly retainAckedMessages: boolean;
  readonly messageRetentionDuration: WireDuration | null;
  readonly labels: Readonly<Record<string, string>>;
  readonly enableMessageOrdering: boolean;
  readonly expirationPolicy: { readonly ttl: WireDuration | null } | null;
  readonly filter: string;
  readonly deadLetterPolicy: WireDeadLetterPolicy | null;
  readonly retryPolicy: WireRetryPolicy | null;
  readonly detached?: boolean;
  readonly enableExactlyOnceDelivery?: boolean;
  readonly bigqueryConfig?: object | null;
  readonly cloudStorageConfig?: object | null;
  readonly bigtableConfig?: object | null;
  readonly messageTransforms?: readonly object[];
  readonly topicMessageRetentionDuration?: WireDuration | null;
  readonly state?: string;
}

/** `ReceivedMessage`. */
export interface WireReceivedMessage {
  readonly ackId: string;
  readonly message: WireMessage;
  readonly deliveryAttempt: number;
}

/** `Snapshot`. */
export interface WireSnapshot {
  readonly name: string;
  readonly topic: string;
  readonly expireTime: WireTimestamp;
  readonly labels: Readonly<Record<string, string>>;
}

/** One request of a stream; only the first names the subscription. */
export interface WireStreamingPullRequest {
  readonly subscription: string;
  readonly ackIds: readonly string[];
  readonly modifyDeadlineSeconds: readonly number[];
  readonly modifyDeadlineAckIds: readonly string[];
  readonly streamAckDeadlineSeconds: number;
  readonly clientId: string;
  readonly maxOutstandingMessages: number;
  readonly maxOutstandingBytes: number;
}

/** A page of a list request. */
export interface WirePageRequest {
  readonly pageSize: number;
  readonly pageToken: string;
}
