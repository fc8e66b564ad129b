import type { Clock } from './clock.ts';
import { deadLetterOf } from './dead-letter.ts';
import { requirePublishable, type Message, type MessageContent } from './message.ts';
import { DELETED_TOPIC, requireResourceName, shortNameOf } from './names.ts';
import { Pushes } from './pushes.ts';
import type { Random } from './random.ts';
import { Refusal } from './refusal.ts';
import { Snapshot } from './snapshot.ts';
import type { SubscriptionConfig } from './subscription-config.ts';
import { Subscription, type DeliveryHabits, type SubscriptionContext } from './subscription.ts';
import { Topic, type TopicConfig } from './topic.ts';

/** What a broker runs on. */
export interface BrokerOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly habits: DeliveryHabits;
}

/** The first message id; the product's are of 16 digits too. */
const FIRST_MESSAGE_ID = 1_000_000_000_000_000;

/** Topics, subscriptions and snapshots, and the messages that go from one to the other. */
export class Broker {
  readonly topics = new Map<string, Topic>();
  readonly #subscriptions = new Map<string, Subscription>();
  readonly #snapshots = new Map<string, Snapshot>();
  readonly #pushes: Pushes;
  readonly #listeners = new Set<() => void>();
  readonly #context: SubscriptionContext;
  readonly #options: BrokerOptions;
  #sequence = 0;

  constructor(options: BrokerOptions) {
    this.#options = options;
    this.#pushes = new Pushes(options.clock, options.habits.backoffFactor);
    this.#context = {
      ...options,
      deadLetter: (message, config, attempts) => this.#deadLetter(message, config, attempts),
      changed: () => {
        this.changed();
      },
    };
  }

  /** What the broker takes for time. */
  get clock(): Clock {
    return this.#options.clock;
  }

  /** The subscriptions that have not expired. */
  get subscriptions(): ReadonlyMap<string, Subscription> {
    const nowMs = this.clock.nowMs();
    for (const [name, { config, connected, lastUsedMs }] of this.#subscriptions) {
      const idleMs = connected ? 0 : nowMs - lastUsedMs;
      if (config.ttlMs !== undefined && idleMs > config.ttlMs) this.#drop(name, notFound(name));
    }
    return this.#subscriptions;
  }

  /** The snapshots that have not expired. */
  get snapshots(): ReadonlyMap<string, Snapshot> {
    const nowMs = this.clock.nowMs();
    for (const [name, { expireTimeMs }] of this.#snapshots) {
      if (nowMs >= expireTimeMs) this.#snapshots.delete(name);
    }
    return this.#snapshots;
  }

  /** @throws Refusal `NOT_FOUND` */
  topic(name: string): Topic {
    const topic = this.topics.get(name);
    if (topic === undefined) throw notFound(name);
    return topic;
  }

  /** @throws Refusal `NOT_FOUND` */
  subscription(name: string): Subscription {
    const subscription = this.subscriptions.get(name);
    if (subscription === undefined) throw notFound(name);
    subscription.lastUsedMs = this.clock.nowMs();
    return subscription;
  }

  /** @throws Refusal `NOT_FOUND` */
  snapshot(name: string): Snapshot {
    const snapshot = this.snapshots.get(name);
    if (snapshot === undefined) throw notFound(name);
    return snapshot;
  }

  /** @throws Refusal `ALREADY_EXISTS` */
  createTopic(config: TopicConfig): Topic {
    if (this.topics.has(config.name)) throw exists(config.name);
    const topic = new Topic(config);
    this.topics.set(config.name, topic);
    this.changed();
    return topic;
  }

  /** Deletes a topic; its subscriptions keep what they have. @throws Refusal `NOT_FOUND` */
  deleteTopic(name: string): void {
    const topic = this.topic(name);
    this.topics.delete(name);
    for (const subscription of this.#subscriptions.values()) {
      if (subscription.topic !== topic) continue;
      subscription.topic = undefined;
      subscription.reconfigure({ ...subscription.config, topic: DELETED_TOPIC });
    }
    this.changed();
  }

  /** Publishes messages and answers with their ids. @throws Refusal `NOT_FOUND`, `INVALID_ARGUMENT` */
  publish(topicName: string, contents: readonly MessageContent[]): readonly string[] {
    const topic = this.topic(topicName);
    requirePublishable(contents);
    return this.#accept(topic, contents);
  }

  /** @throws Refusal `ALREADY_EXISTS`, `NOT_FOUND` where its topic or dead-letter topic is missing */
  createSubscription(config: SubscriptionConfig): Subscription {
    if (this.subscriptions.has(config.name)) throw exists(config.name);
    const topic = this.topic(config.topic);
    if (config.deadLetter !== undefined) this.topic(config.deadLetter.topic);
    const subscription = new Subscription(config, topic, this.#context);
    this.#subscriptions.set(config.name, subscription);
    this.#pushes.connect(subscription);
    this.changed();
    return subscription;
  }

  /** Changes what may change. @throws Refusal `NOT_FOUND` where its dead-letter topic is missing */
  reconfigure(subscription: Subscription, config: SubscriptionConfig): void {
    if (config.deadLetter !== undefined) this.topic(config.deadLetter.topic);
    subscription.reconfigure(config);
    this.#pushes.connect(subscription);
    this.changed();
  }

  /** @throws Refusal `NOT_FOUND` */
  deleteSubscription(name: string): void {
    this.subscription(name);
    this.#drop(name, notFound(name));
    this.changed();
  }

  /** @throws Refusal `ALREADY_EXISTS`, `NOT_FOUND`, `FAILED_PRECONDITION` */
  createSnapshot(
    name: string,
    subscriptionName: string,
    labels: Readonly<Record<string, string>>,
  ): Snapshot {
    requireResourceName(name, 'snapshots');
    const subscription = this.subscription(subscriptionName);
    if (this.snapshots.has(name)) throw exists(name);
    const content = {
      name,
      topic: requireTopicOf(subscription).config.name,
      labels,
      backlog: subscription.unacknowledged(),
      nextSequence: this.#sequence,
    };
    const snapshot = new Snapshot(content, this.clock.nowMs());
    this.#snapshots.set(name, snapshot);
    return snapshot;
  }

  /** @throws Refusal `NOT_FOUND` */
  deleteSnapshot(name: string): void {
    this.snapshot(name);
    this.#snapshots.delete(name);
  }

  /** Acknowledges what was published before the time, replays what is retained from it on. @throws Refusal `NOT_FOUND` */
  seekToTime(subscriptionName: string, timeMs: number): void {
    this.subscription(subscriptionName).seek(({ publishTimeMs }) => publishTimeMs >= timeMs);
  }

  /** Makes a subscription's backlog that of the snapshot. @throws Refusal `NOT_FOUND`, `FAILED_PRECONDITION` */
  seekToSnapshot(subscriptionName: string, snapshotName: string): void {
    const subscription = this.subscription(subscriptionName);
    const snapshot = this.snapshot(snapshotName);
    if (subscription.topic?.config.name !== snapshot.content.topic) {
      throw new Refusal(
        'FAILED_PRECONDITION',
        'The snapshot and the subscription have different topics',
      );
    }
    subscription.seek((message) => snapshot.has(message), snapshot.messages);
  }

  /** Calls `listener` at every change until the answered function is called. */
  listen(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  /** Tells the listeners that something changed. */
  changed(): void {
    for (const listener of this.#listeners) listener();
  }

  /** Ends everything under way, as a server that goes away. */
  close(): void {
    const reason = new Refusal('UNAVAILABLE', 'The server is shutting down');
    for (const name of [...this.#subscriptions.keys()]) this.#drop(name, reason);
  }

  #accept(topic: Topic, contents: readonly MessageContent[]): readonly string[] {
    const nowMs = this.clock.nowMs();
    const messages = contents.map((content) => this.#message(content, nowMs));
    const subscriptions = [...this.subscriptions.values()].filter((one) => one.topic === topic);
    for (const message of messages) {
      topic.keep(message, nowMs);
      for (const snapshot of this.snapshots.values()) {
        if (snapshot.content.topic === topic.config.name) snapshot.keep(message);
      }
      for (const subscription of subscriptions) subscription.receive(message);
    }
    for (const subscription of subscriptions) subscription.dispatch();
    this.changed();
    return messages.map(({ messageId }) => messageId);
  }

  #message(content: MessageContent, publishTimeMs: number): Message {
    const sequence = this.#sequence;
    this.#sequence += 1;
    const { data, attributes, orderingKey } = content;
    const messageId = String(FIRST_MESSAGE_ID + sequence);
    return { messageId, data, attributes, orderingKey, publishTimeMs, sequence };
  }

  #deadLetter(
    message: Message,
    { name, deadLetter }: SubscriptionConfig,
    attempts: number,
  ): boolean {
    const topic = this.topics.get(deadLetter?.topic ?? '');
    if (topic === undefined) return false;
    this.#accept(topic, [deadLetterOf(message, { subscription: name, attempts })]);
    return true;
  }

  #drop(name: string, reason: Refusal): void {
    this.#subscriptions.get(name)?.close(reason);
    this.#subscriptions.delete(name);
    this.#pushes.drop(name);
  }
}

function requireTopicOf(subscription: Subscription): Topic {
  if (subscription.topic === undefined) {
    throw new Refusal('FAILED_PRECONDITION', 'The topic of the subscription was deleted');
  }
  return subscription.topic;
}

function notFound(name: string): Refusal {
  return new Refusal('NOT_FOUND', `Resource not found (resource=${shortNameOf(name)}).`);
}

function exists(name: string): Refusal {
  return new Refusal(
    'ALREADY_EXISTS',
    `Resource already exists in the project (resource=${shortNameOf(name)}).`,
  );
}
