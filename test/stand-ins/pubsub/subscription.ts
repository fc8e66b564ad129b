import { Backlog, type Entry } from './backlog.ts';
import type { Consumer, DeliveryHabits, Ending } from './delivery.ts';
import type { Message } from './message.ts';
import type { Refusal } from './refusal.ts';
import { retryDelayMs, type SubscriptionConfig } from './subscription-config.ts';
import type { Topic } from './topic.ts';

/** What a subscription needs of the broker around it. */
export interface SubscriptionContext {
  readonly habits: DeliveryHabits;
  /** Publishes to the dead-letter topic; false where there is none. */
  deadLetter(message: Message, config: SubscriptionConfig, attempts: number): boolean;
  /** Told of every change that a view may show. */
  changed(): void;
}

interface Lease {
  readonly entry: Entry;
  readonly consumer: Consumer;
  /** A second copy of a message that is delivered anyway: its failure changes nothing. */
  readonly duplicate: boolean;
  timer: NodeJS.Timeout;
}

/** New messages of a shuffled subscription arrive within this time, as they do from several servers. */
const ARRIVAL_SPREAD_MS = 25;

/** A duplicate comes within this time after the delivery it repeats has begun. */
const DUPLICATE_SPREAD_MS = 1_000;

/** A subscription: its backlog, and which deliveries are under way to whom. */
export class Subscription {
  config: SubscriptionConfig;
  /** The topic; undefined when it was deleted. */
  topic: Topic | undefined;
  /** Messages acknowledged by a subscriber. */
  acknowledged = 0;
  /** Deliveries that a subscriber gave back. */
  nacked = 0;
  readonly #context: SubscriptionContext;
  readonly #backlog: Backlog;
  /** By ack id. */
  readonly #leases = new Map<string, Lease>();
  readonly #consumers = new Set<Consumer>();
  /** Messages that are to be delivered once more as soon as there is room. */
  readonly #repeats: Entry[] = [];
  readonly #repeatTimers = new Set<NodeJS.Timeout>();
  #deliveries = 0;
  #dispatching = false;
  #closed = false;

  constructor(config: SubscriptionConfig, topic: Topic, context: SubscriptionContext) {
    this.config = config;
    this.topic = topic;
    this.#context = context;
    this.#backlog = new Backlog(context.habits, () => {
      this.dispatch();
    });
  }

  /** Messages of the backlog by where they stand. */
  get counts(): Pick<Backlog, 'undelivered' | 'outstanding'> {
    return this.#backlog;
  }

  /** Takes in a published message. */
  receive(message: Message): void {
    const { shuffled, random } = this.#context.habits;
    this.#backlog.add(message, shuffled ? random() * ARRIVAL_SPREAD_MS : 0);
  }

  /** Lets a consumer have messages. */
  attach(consumer: Consumer): void {
    this.#consumers.add(consumer);
    this.dispatch();
  }

  /** Takes a consumer away; what it holds stays its own until it ends or its deadline passes. */
  detach(consumer: Consumer): void {
    this.#consumers.delete(consumer);
  }

  /** Sends all consumers away. */
  dismiss(reason: Refusal): void {
    for (const consumer of [...this.#consumers]) consumer.dismiss(reason);
    this.#consumers.clear();
  }

  /** Gives ready messages to consumers that have room, in turn. */
  dispatch(): void {
    if (this.#dispatching || this.#closed) return;
    this.#dispatching = true;
    const served = new Set<Consumer>();
    for (let consumer = this.#withRoom(); consumer !== undefined; consumer = this.#withRoom()) {
      const repeated = this.#repeats.shift();
      const entry = repeated ?? this.#backlog.take();
      if (entry === undefined) break;
      this.#deliver(entry, consumer, repeated !== undefined);
      served.add(consumer);
    }
    this.#dispatching = false;
    for (const consumer of served) consumer.flush?.();
    this.#context.changed();
  }

  /** Acknowledges a delivery that is under way; one whose deadline has passed is past acknowledging. */
  acknowledge(ackId: string): void {
    const lease = this.#end(ackId, 'acknowledged');
    if (lease === undefined) return;
    if (lease.entry.state !== 'acknowledged') this.acknowledged += 1;
    this.#backlog.acknowledge(lease.entry);
    this.dispatch();
  }

  /** Gives a delivery back as failed. */
  nack(ackId: string): void {
    if (this.#leases.has(ackId)) this.nacked += 1;
    this.#fail(ackId, 'nacked');
  }

  /** Lets a delivery take until `durationMs` from now. */
  extend(ackId: string, durationMs: number): void {
    const lease = this.#leases.get(ackId);
    if (lease === undefined) return;
    clearTimeout(lease.timer);
    lease.timer = this.#deadline(ackId, durationMs);
  }

  /** Makes exactly the messages unacknowledged of which `wanted` says so, those of its topic and `others` among them. */
  seek(wanted: (message: Message) => boolean, others: readonly Message[] = []): void {
    this.#backlog.seek([...(this.topic?.retained ?? []), ...others], wanted);
    for (const [ackId, { entry }] of [...this.#leases]) {
      if (entry.state !== 'outstanding') this.#end(ackId, 'withdrawn');
    }
    this.dispatch();
  }

  /** The messages not acknowledged, oldest first. */
  unacknowledged(): readonly Message[] {
    return this.#backlog.unacknowledged();
  }

  /** Ends all deliveries and forgets all messages; consumers are told the reason. */
  close(reason: Refusal): void {
    this.#closed = true;
    this.dismiss(reason);
    for (const ackId of [...this.#leases.keys()]) this.#end(ackId, 'withdrawn');
    for (const timer of this.#repeatTimers) clearTimeout(timer);
    this.#repeats.length = 0;
    this.#backlog.clear();
  }

  #withRoom(): Consumer | undefined {
    for (const consumer of this.#consumers) if (consumer.hasRoom()) return consumer;
    return undefined;
  }

  #deliver(entry: Entry, consumer: Consumer, duplicate: boolean): void {
    // To the end of the line, so that consumers take turns.
    this.#consumers.delete(consumer);
    this.#consumers.add(consumer);
    this.#deliveries += 1;
    const ackId = `${entry.message.messageId}-${this.#deliveries}`;
    const timer = this.#deadline(ackId, consumer.ackDeadlineMs);
    this.#leases.set(ackId, { entry, consumer, duplicate, timer });
    if (!duplicate) this.#perhapsDuplicate(entry);
    consumer.accept({ ackId, message: entry.message, attempt: entry.failures + 1 });
  }

  /** By chance delivers a message once more after a while, acknowledged meanwhile or not. */
  #perhapsDuplicate(entry: Entry): void {
    const { random, duplicateShare, speed } = this.#context.habits;
    if (random() >= duplicateShare) return;
    const timer = setTimeout(
      () => {
        this.#repeatTimers.delete(timer);
        this.#repeats.push(entry);
        this.dispatch();
      },
      (random() * DUPLICATE_SPREAD_MS) / speed,
    );
    this.#repeatTimers.add(timer);
  }

  #deadline(ackId: string, durationMs: number): NodeJS.Timeout {
    return setTimeout(() => {
      this.#fail(ackId, 'expired');
    }, durationMs / this.#context.habits.speed);
  }

  #fail(ackId: string, how: 'nacked' | 'expired'): void {
    const lease = this.#end(ackId, how);
    if (lease === undefined) return;
    const { entry, duplicate } = lease;
    if (!duplicate && entry.state === 'outstanding') this.#retry(entry);
    this.dispatch();
  }

  #retry(entry: Entry): void {
    entry.failures += 1;
    const { deadLetter, retry } = this.config;
    if (
      deadLetter !== undefined &&
      entry.failures >= deadLetter.maxDeliveryAttempts &&
      this.#context.deadLetter(entry.message, this.config, entry.failures)
    ) {
      this.#backlog.acknowledge(entry);
      return;
    }
    const delayMs = retryDelayMs(retry, entry.failures) * this.#context.habits.backoffFactor;
    this.#backlog.release(entry, delayMs);
  }

  #end(ackId: string, how: Ending): Lease | undefined {
    const lease = this.#leases.get(ackId);
    if (lease === undefined) return undefined;
    this.#leases.delete(ackId);
    clearTimeout(lease.timer);
    lease.consumer.ended?.(ackId, how);
    return lease;
  }
}
