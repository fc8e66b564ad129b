import type { Broker } from './broker.ts';
import type { Delivery } from './delivery.ts';
import type { Methods } from './grpc.ts';
import { toWireMessage } from './message.ts';
import { Pull } from './pull.ts';
import { Refusal, requireArgument } from './refusal.ts';
import { readPushConfig, readSubscription } from './subscription-config.ts';
import type { Subscription } from './subscription.ts';
import { Topic } from './topic.ts';
import {
  millisecondsOf,
  type WireDuration,
  type WireMessage,
  type WirePushConfig,
  type WireReceivedMessage,
  type WireSubscription,
  type WireTopic,
} from './wire.ts';

/** How long a pull waits for a first message: the product says "a bounded amount of time". */
const PULL_WAIT_MS = 10_000;

interface SubscriptionRequest {
  readonly subscription: string;
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
}

interface SeekRequest extends SubscriptionRequest {
  readonly time?: WireDuration | null;
  readonly snapshot?: string;
  /** Which of the two is set. */
  readonly target?: 'time' | 'snapshot';
}

interface TopicRequest {
  readonly topic: string;
}

interface PublishRequest extends TopicRequest {
  readonly messages: readonly WireMessage[];
}

/** The methods of google.pubsub.v1.Publisher; what is missing answers UNIMPLEMENTED. */
export function publisherMethods(broker: Broker): Methods {
  return {
    CreateTopic: (request: WireTopic) => {
      const topic = new Topic(request);
      broker.addTopic(topic);
      return topic.wire;
    },

    GetTopic: ({ topic }: TopicRequest) => broker.topic(topic).wire,

    DeleteTopic: ({ topic }: TopicRequest) => {
      broker.deleteTopic(topic);
      return {};
    },

    Publish: ({ topic, messages }: PublishRequest) => ({
      messageIds: broker.publish(topic, messages),
    }),
  };
}

/** The unary methods of google.pubsub.v1.Subscriber; what is missing answers UNIMPLEMENTED. */
export function subscriberMethods(broker: Broker): Methods {
  return { ...subscriptionMethods(broker), ...messageMethods(broker) };
}

function subscriptionMethods(broker: Broker): Methods {
  return {
    CreateSubscription: (request: WireSubscription) =>
      broker.createSubscription(readSubscription(request)).config.wire,

    GetSubscription: ({ subscription }: SubscriptionRequest) =>
      broker.subscription(subscription).config.wire,

    ModifyPushConfig: (request: SubscriptionRequest & { readonly pushConfig: WirePushConfig }) => {
      const subscription = broker.subscription(request.subscription);
      broker.modifyPush(subscription, readPushConfig(request.pushConfig), request.pushConfig);
      return {};
    },

    DeleteSubscription: ({ subscription }: SubscriptionRequest) => {
      broker.deleteSubscription(subscription);
      return {};
    },

    CreateSnapshot: ({ name, subscription }: CreateSnapshotRequest) => {
      const { topic } = broker.createSnapshot(name, subscription);
      return { name, topic };
    },

    DeleteSnapshot: ({ snapshot }: { readonly snapshot: string }) => {
      broker.deleteSnapshot(snapshot);
      return {};
    },
  };
}

function messageMethods(broker: Broker): Methods {
  return {
    Pull: async (request: PullRequest, signal: AbortSignal) => {
      requireArgument(request.maxMessages > 0, `max_messages is ${request.maxMessages}`);
      const subscription = pullable(broker, request.subscription);
      const pull = new Pull(subscription, request.maxMessages);
      signal.addEventListener('abort', () => {
        pull.finish();
      });
      const deliveries = await pull.run(request.returnImmediately ? 0 : PULL_WAIT_MS);
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
        broker.seekToTime(request.subscription, millisecondsOf(request.time));
      }
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
  else subscription.extend(ackId, seconds * 1_000);
}

/** Refuses ack ids that this server cannot have given. @throws Refusal `INVALID_ARGUMENT` */
export function requireAckIds(ackIds: readonly string[]): void {
  for (const ackId of ackIds) {
    requireArgument(/^\d+-\d+$/.test(ackId), `The ack id is malformed: ${ackId}`);
  }
}
