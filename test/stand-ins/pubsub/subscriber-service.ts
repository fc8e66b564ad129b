import { randomUUID } from 'node:crypto';

import type { Broker } from './broker.ts';
import type { Delivery } from './consumer.ts';
import { SECOND_MS, timestampMs } from './durations.ts';
import { applyMask } from './field-mask.ts';
import { toWireMessage } from './message.ts';
import type { CallContext, Methods } from './methods.ts';
import { projectOf, requireProject } from './names.ts';
import { pageOf } from './pages.ts';
import { PULL_WAIT_MS, Pull } from './pull.ts';
import { Refusal, requireArgument } from './refusal.ts';
import { readSubscription, toWireSubscription } from './subscription-config.ts';
import type { Subscription } from './subscription.ts';
import type {
  WireFieldMask,
  WirePageRequest,
  WirePushConfig,
  WireReceivedMessage,
  WireSubscription,
  WireTimestamp,
} from './wire.ts';

interface SubscriptionRequest {
  readonly subscription: string;
}

interface UpdateSubscriptionRequest {
  readonly subscription: WireSubscription;
  readonly updateMask: WireFieldMask | null;
}

interface ProjectPageRequest extends WirePageRequest {
  readonly project: string;
}

interface PullRequest extends SubscriptionRequest {
  readonly maxMessages: number;
  readonly returnImmediately: boolean;
}

interface AcknowledgeRequest extends SubscriptionRequest {
  readonly ackIds: readonly string[];
}

interface ModifyAckDeadlineRequest extends AcknowledgeRequest {
  readonly ackDeadlineSeconds: number;
}

interface CreateSnapshotRequest extends SubscriptionRequest {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

interface SeekRequest extends SubscriptionRequest {
  readonly time?: WireTimestamp | null;
  readonly snapshot?: string;
  /** Which of the two is set. */
  readonly target?: 'time' | 'snapshot';
}

/** What UpdateSubscription may change; topic, filter and ordering are for ever. */
const MUTABLE = [
  'ackDeadlineSeconds',
  'bigqueryConfig',
  'bigtableConfig',
  'cloudStorageConfig',
  'deadLetterPolicy',
  'enableExactlyOnceDelivery',
  'expirationPolicy',
  'labels',
  'messageRetentionDuration',
  'messageTransforms',
  'pushConfig',
  'retainAckedMessages',
  'retryPolicy',
] as const;

/** The unary methods of google.pubsub.v1.Subscriber; what is missing answers UNIMPLEMENTED. */
export function subscriberMethods(broker: Broker): Methods {
  return { ...subscriptionMethods(broker), ...messageMethods(broker), ...snapshotMethods(broker) };
}

function subscriptionMethods(broker: Broker): Methods {
  return {
    CreateSubscription: (request: WireSubscription) => {
      const name = named(request.name, request.topic, 'subscriptions');
      return describe(broker.createSubscription(readSubscription({ ...request, name })));
    },

    GetSubscription: ({ subscription }: SubscriptionRequest) =>
      describe(broker.subscription(subscription)),

    UpdateSubscription: ({ subscription: wanted, updateMask }: UpdateSubscriptionRequest) => {
      const subscription = broker.subscription(wanted.name);
      const merged = applyMask(describe(subscription), wanted, updateMask, MUTABLE);
      reconfigure(broker, subscription, merged);
      return describe(subscription);
    },

    ModifyPushConfig: (request: SubscriptionRequest & { readonly pushConfig: WirePushConfig }) => {
      const subscription = broker.subscription(request.subscription);
      reconfigure(broker, subscription, {
        ...describe(subscription),
        pushConfig: request.pushConfig,
      });
      return {};
    },

    ListSubscriptions: (request: ProjectPageRequest) => {
      requireProject(request.project);
      const inProject = [...broker.subscriptions.values()].filter(({ config }) =>
        config.name.startsWith(`${request.project}/`),
      );
      const { entries, nextPageToken } = pageOf(inProject, request);
      return { subscriptions: entries.map(describe), nextPageToken };
    },

    DeleteSubscription: ({ subscription }: SubscriptionRequest) => {
      broker.deleteSubscription(subscription);
      return {};
    },
  };
}

function messageMethods(broker: Broker): Methods {
  return {
    Pull: async (request: PullRequest, { signal }: CallContext) => {
      requireArgument(request.maxMessages > 0, `max_messages is ${request.maxMessages}`);
      const subscription = pullable(broker, request.subscription);
      const pull = new Pull(subscription, request.maxMessages);
      signal.addEventListener('abort', () => {
        pull.finish();
      });
      const deliveries = await pull.run(broker.clock, request.returnImmediately ? 0 : PULL_WAIT_MS);
      return { receivedMessages: received(subscription, deliveries) };
    },

    Acknowledge: ({ subscription: name, ackIds }: AcknowledgeRequest) => {
      const subscription = broker.subscription(name);
      requireArgument(ackIds.length > 0, 'The request names no ack ids');
      requireAckIds(ackIds);
      for (const ackId of ackIds) subscription.acknowledge(ackId);
      return {};
    },

    ModifyAckDeadline: (request: ModifyAckDeadlineRequest) => {
      const subscription = broker.subscription(request.subscription);
      requireArgument(request.ackIds.length > 0, 'The request names no ack ids');
      requireAckIds(request.ackIds);
      for (const ackId of request.ackIds) {
        modifyAckDeadline(subscription, ackId, request.ackDeadlineSeconds);
      }
      return {};
    },

    Seek: (request: SeekRequest) => {
      if (request.target === 'snapshot') {
        broker.seekToSnapshot(request.subscription, request.snapshot ?? '');
      } else {
        requireArgument(request.time != null, 'A seek wants a time or a snapshot');
        broker.seekToTime(request.subscription, timestampMs(request.time));
      }
      return {};
    },
  };
}

function snapshotMethods(broker: Broker): Methods {
  return {
    CreateSnapshot: ({ name, subscription, labels }: CreateSnapshotRequest) =>
      broker.createSnapshot(named(name, subscription, 'snapshots'), subscription, labels).toWire(),

    GetSnapshot: ({ snapshot }: { readonly snapshot: string }) =>
      broker.snapshot(snapshot).toWire(),

    ListSnapshots: (request: ProjectPageRequest) => {
      requireProject(request.project);
      const inProject = [...broker.snapshots.values()].filter(({ content }) =>
        content.name.startsWith(`${request.project}/`),
      );
      const { entries, nextPageToken } = pageOf(inProject, request);
      return { snapshots: entries.map((snapshot) => snapshot.toWire()), nextPageToken };
    },

    DeleteSnapshot: ({ snapshot }: { readonly snapshot: string }) => {
      broker.deleteSnapshot(snapshot);
      return {};
    },
  };
}

/** A subscription that is not pushed. @throws Refusal `NOT_FOUND`, `FAILED_PRECONDITION` */
export function pullable(broker: Broker, name: string): Subscription {
  const subscription = broker.subscription(name);
  if (subscription.config.push !== undefined) {
    throw new Refusal('FAILED_PRECONDITION', 'A push subscription cannot be pulled');
  }
  return subscription;
}

/** Deliveries as the API gives them; the attempt is told only under a dead-letter policy. */
export function received(
  { config }: Subscription,
  deliveries: readonly Delivery[],
): readonly WireReceivedMessage[] {
  return deliveries.map(({ ackId, message, attempt }) => ({
    ackId,
    message: toWireMessage(message),
    deliveryAttempt: config.deadLetter === undefined ? 0 : attempt,
  }));
}

/** Lets a delivery take so many seconds from now, 1 to 600; 0 is a nack. @throws Refusal `INVALID_ARGUMENT` */
export function modifyAckDeadline(
  subscription: Subscription,
  ackId: string,
  seconds: number,
): void {
  requireArgument(seconds >= 0 && seconds <= 600, `ack_deadline_seconds is ${seconds}`);
  if (seconds === 0) subscription.nack(ackId);
  else subscription.extend(ackId, seconds * SECOND_MS);
}

/** Refuses ack ids that this server cannot have given. @throws Refusal `INVALID_ARGUMENT` */
export function requireAckIds(ackIds: readonly string[]): void {
  for (const ackId of ackIds) {
    requireArgument(/^\d+-\d+$/.test(ackId), `The ack id is malformed: ${ackId}`);
  }
}

function describe({ config, topic }: Subscription): WireSubscription {
  return toWireSubscription(config, topic?.config.retentionMs);
}

function reconfigure(broker: Broker, subscription: Subscription, wire: WireSubscription): void {
  // A deleted topic's placeholder is no topic name; it stays what it is.
  const { topic } = subscription.config;
  const config = readSubscription({ ...wire, topic: `${projectOf(wire.name)}/topics/placeholder` });
  broker.reconfigure(subscription, { ...config, topic });
}

/** The given name, or a random one in the project of `beside`. */
function named(name: string, beside: string, kind: 'subscriptions' | 'snapshots'): string {
  return name === '' ? `${projectOf(beside)}/${kind}/random-${randomUUID()}` : name;
}
