import type { DeliveryHabits } from './delivery.ts';
import { requirePublishable, type Message, type MessageContent } from './message.ts';
import { DELETED_TOPIC, projectIdOf, requireResourceName, shortNameOf } from './names.ts';
import { Pushes } from './push.ts';
import { Refusal } from './refusal.ts';
import type { PushConfig, SubscriptionConfig } from './subscription-config.ts';
import { Subscription, type SubscriptionContext } from './subscription.ts';
import type { Topic } from './topic.ts';
import type { WireMessage, WirePushConfig } from './wire.ts';

/** What was unacknowledged in a subscription at one moment, and all that is published after it. */
export interface Snapshot {
  readonly name: string;
  /** Full name of the topic. */
  readonly topic: string;
  readonly messages: Message[];
}

/** The first message id; the product's are of 16 digits too. */
const FIRST_MESSAGE_ID = 1_000_000_000_000_000;

/** Topics, subscriptions and snapshots, and the messages that go from one to the other. */
export class Broker {
  readonly topics = new Map<string, Topic>();
  readonly subscriptions = new Map<string, Subscription>();
  readonly #snapshots = new Map<string, Snapshot>();
  readonly #pushes: Pushes;
  readonly #listeners = new Set<() => void>();
  readonly #context: SubscriptionContext;
  #sequence = 0;

  constructor(habits: DeliveryHabits) {
    this.#pushes = new Pushes(habits.backoffFactor / habits.speed);
    this.#context = {
      habits,
      deadLetter: (message, config, attempts) => this.#deadLetter(message, config, attempts),
      changed: () => {
        this.#changed();
      },
    };
  }

  /** @throws Refusal `NOT_FOUND` */
  topic(name: string): Topic {
    return found(this.topics, name);
  }

  /** @throws Refusal `NOT_FOUND` */
  subscription(name: string): Subscription {
    return found(this.subscriptions, name);
  }

  /** @throws Refusal `ALREADY_EXISTS` */
  addTopic(topic: Topic): void {
    requireNew(this.topics, topic.name);
    this.topics.set(topic.name, topic);
    this.#changed();
  }

  /** Deletes a topic; its subscriptions keep what they have. @throws Refusal `NOT_FOUND` */
  deleteTopic(name: string): void {
    const topic = this.topic(name);
    this.topics.delete(name);
    for (const subscription of this.subscriptions.values()) {
      if (subscription.topic !== topic) continue;
      const { config } = subscription;
      subscription.topic = undefined;
      subscription.config = {
        ...config,
        topic: DELETED_TOPIC,
        wire: { ...config.wire, topic: DELETED_TOPIC },
      };
    }
    this.#changed();
  }

  /** Publishes messages and answers with their ids. @throws Refusal `NOT_FOUND`, `INVALID_ARGUMENT` */
  publish(topicName: string, messages: readonly WireMessage[]): readonly string[] {
    const topic = this.topic(topicName);
    requirePublishable(messages);
    return this.#accept(topic, messages);
  }

  /** @throws Refusal `ALREADY_EXISTS`, `NOT_FOUND` where its topic or dead-letter topic is missing */
  createSubscription(config: SubscriptionConfig): Subscription {
    requireNew(this.subscriptions, config.name);
    const topic = this.topic(config.topic);
    if (config.deadLetter !== undefined) this.topic(config.deadLetter.topic);
    const subscription = new Subscription(config, topic, this.#context);
    this.subscriptions.set(config.name, subscription);
    this.#pushes.connect(subscription);
    this.#changed();
    return subscription;
  }

  /** Lets a subscription push elsewhere, or be pulled. */
  modifyPush(
    subscription: Subscription,
    push: PushConfig | undefined,
    pushConfig: WirePushConfig,
  ): void {
    const { config } = subscription;
    if (push !== undefined && config.push === undefined) {
      subscription.dismiss(new Refusal('FAILED_PRECONDITION', 'The subscription is pushed now'));
    }
    subscription.config = { ...config, push, wire: { ...config.wire, pushConfig } };
    this.#pushes.connect(subscription);
    this.#changed();
  }

  /** @throws Refusal `NOT_FOUND` */
  deleteSubscription(name: string): void {
    this.subscription(name);
    this.#drop(name, notFound(name));
    this.#changed();
  }

  /** @throws Refusal `ALREADY_EXISTS`, `NOT_FOUND`, `FAILED_PRECONDITION` */
  createSnapshot(name: string, subscriptionName: string): Snapshot {
    requireResourceName(name, 'snapshots');
    const subscription = this.subscription(subscriptionName);
    requireNew(this.#snapshots, name);
    if (subscription.topic === undefined) {
      throw new Refusal('FAILED_PRECONDITION', 'The topic of the subscription was deleted');
    }
    const messages = [...subscription.unacknowledged()];
    const snapshot = { name, topic: subscription.topic.name, messages };
    this.#snapshots.set(name, snapshot);
    return snapshot;
  }

  /** @throws Refusal `NOT_FOUND` */
  deleteSnapshot(name: string): void {
    found(this.#snapshots, name);
    this.#snapshots.delete(name);
  }

  /** Acknowledges what was published before the time, replays what is retained from it on. @throws Refusal `NOT_FOUND` */
  seekToTime(subscriptionName: string, timeMs: number): void {
    this.subscription(subscriptionName).seek(({ publishTimeMs }) => publishTimeMs >= timeMs);
  }

  /** Makes a subscription's backlog that of the snapshot. @throws Refusal `NOT_FOUND`, `FAILED_PRECONDITION` */
  seekToSnapshot(subscriptionName: string, snapshotName: string): void {
    const subscription = this.subscription(subscriptionName);
    const snapshot = found(this.#snapshots, snapshotName);
    if (subscription.topic?.name !== snapshot.topic) {
      throw new Refusal(
        'FAILED_PRECONDITION',
        'The snapshot and the subscription have different topics',
      );
    }
    const ids = new Set(snapshot.messages.map(({ messageId }) => messageId));
    subscription.seek(({ messageId }) => ids.has(messageId), snapshot.messages);
  }

  /** Calls `listener` at every change until the answered function is called. */
  listen(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  /** Ends everything under way, as a server that goes away. */
  close(): void {
    const reason = new Refusal('UNAVAILABLE', 'The server is shutting down');
    for (const name of [...this.subscriptions.keys()]) this.#drop(name, reason);
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }

  #accept(topic: Topic, contents: readonly MessageContent[]): readonly string[] {
    const publishTimeMs = Date.now();
    const messages = contents.map(({ data, attributes }): Message => {
      const sequence = this.#sequence++;
      const messageId = String(FIRST_MESSAGE_ID + sequence);
      return { messageId, data, attributes, publishTimeMs, sequence };
    });
    const subscriptions = [...this.subscriptions.values()].filter((one) => one.topic === topic);
    const snapshots = [...this.#snapshots.values()].filter((one) => one.topic === topic.name);
    for (const message of messages) {
      topic.keep(message);
      for (const snapshot of snapshots) snapshot.messages.push(message);
      for (const subscription of subscriptions) subscription.receive(message);
    }
    for (const subscription of subscriptions) subscription.dispatch();
    this.#changed();
    return messages.map(({ messageId }) => messageId);
  }

  /** The copy for the dead-letter topic: the same, and where it comes from (Pub/Sub, "Dead-letter topics"). */
  #deadLetter(
    message: Message,
    { name, deadLetter }: SubscriptionConfig,
    attempts: number,
  ): boolean {
    const topic = this.topics.get(deadLetter?.topic ?? '');
    if (topic === undefined) return false;
    const attributes = {
      ...message.attributes,
      CloudPubSubDeadLetterSourceDeliveryCount: String(attempts),
      CloudPubSubDeadLetterSourceSubscription: shortNameOf(name),
      CloudPubSubDeadLetterSourceSubscriptionProject: projectIdOf(name),
      CloudPubSubDeadLetterSourceTopicPublishTime: new Date(message.publishTimeMs).toISOString(),
    };
    this.#accept(topic, [{ data: message.data, attributes }]);
    return true;
  }

  #drop(name: string, reason: Refusal): void {
    this.subscriptions.get(name)?.close(reason);
    this.subscriptions.delete(name);
    this.#pushes.drop(name);
  }
}

function found<T>(all: ReadonlyMap<string, T>, name: string): T {
  const resource = all.get(name);
  if (resource === undefined) throw notFound(name);
  return resource;
}

function notFound(name: string): Refusal {
  return new Refusal('NOT_FOUND', `Resource not found (resource=${shortNameOf(name)}).`);
}

function requireNew(all: ReadonlyMap<string, unknown>, name: string): void {
  if (!all.has(name)) return;
  throw new Refusal(
    'ALREADY_EXISTS',
    `Resource already exists in the project (resource=${shortNameOf(name)}).`,
  );
}
