import { Backlog, type Entry } from './backlog.ts';
import type { Clock, Timer } from './clock.ts';
import type { Consumer, Ending } from './consumer.ts';
import { compileFilter, type Filter } from './filter.ts';
import type { Message } from './message.ts';
import type { Random } from './random.ts';
import { Refusal } from './refusal.ts';
import { retryDelayMs } from './retry.ts';
import type { SubscriptionConfig } from './subscription-config.ts';
import type { Topic } from './topic.ts';

/** How the stand-in delivers: what the product does by chance is here by seeded chance. */
export interface DeliveryHabits {
  /** Whether messages come in any order. Default true; false: the oldest first. */
  readonly shuffled: boolean;
  /** Share of deliveries that come once more though nothing failed, 0 to 1. Default 0.01. */
  readonly duplicateShare: number;
  /** Multiplies the waits before redelivery, and nothing else; default 1, 0: no wait. */
  readonly backoffFactor: number;
}

/** What a subscription needs of the broker around it. */
export interface SubscriptionContext {
  readonly clock: Clock;
  readonly random: Random;
  readonly habits: DeliveryHabits;
  /** Publishes to the dead-letter topic; false where there is none. */
  deadLetter(message: Message, config: SubscriptionConfig, attempts: number): boolean;
  /** Told of every change that a view may show. */
  changed(): void;
}

/** Running totals of a subscription. */
export interface DeliveryTotals {
  /** Deliveries begun, duplicates included. */
  delivered: number;
  /** Messages acknowledged by a subscriber. */
  acknowledged: number;
  nacked: number;
  /** Deliveries whose ack deadline passed. */
  expired: number;
  deadLettered: number;
}

interface Lease {
  readonly ackId: string;
  readonly entry: Entry;
  readonly consumer: Consumer;
  /** A second copy of a message that is delivered anyway: its failure changes nothing. */
  readonly duplicate: boolean;
  timer: Timer;
}

/** New messages of a shuffled subscription arrive within this time, as they do from several servers. */
const ARRIVAL_SPREAD_MS = 25;

/** A duplicate comes within this time after the delivery it repeats has begun. */
const DUPLICATE_SPREAD_MS = 1_000;

/** A subscription: its backlog, and which deliveries are under way to whom. */
export class Subscription {
  readonly totals: DeliveryTotals = {
    delivered: 0,
    acknowledged: 0,
    nacked: 0,
    expired: 0,
    deadLettered: 0,
  };
  /** The topic; undefined when it was deleted. */
  topic: Topic | undefined;
  /** When it was last used, for its expiration. */
  lastUsedMs: number;
  #config: SubscriptionConfig;
  #filter: Filter;
  readonly #context: SubscriptionContext;
  readonly #backlog: Backlog;
  readonly #leases = new Map<string, Lease>();
  readonly #consumers = new Set<Consumer>();
  /** Messages that are to be delivered once more as soon as there is room. */
  readonly #repeats: Entry[] = [];
  readonly #repeatTimers = new Set<Timer>();
  #deliveries = 0;
  #dispatching = false;
  #closed = false;

  constructor(config: SubscriptionConfig, topic: Topic, context: SubscriptionContext) {
    this.#config = config;
    this.#filter = compileFilter(config.filter);
    this.topic = topic;
    this.#context = context;
    this.lastUsedMs = context.clock.nowMs();
    this.#backlog = new Backlog({
      clock: context.clock,
      random: context.random,
      shuffled: context.habits.shuffled,
      ordered: config.ordered,
      onReady: () => {
        this.dispatch();
      },
    });
  }

  /** How it is configured now. */
  get config(): SubscriptionConfig {
    return this.#config;
  }

  /** Whether somebody pulls, so that it cannot expire. */
  get connected(): boolean {
    return this.#config.push === undefined && this.#consumers.size > 0;
  }

  /** Changes what may change; topic, filter and ordering stay. */
  reconfigure(config: SubscriptionConfig): void {
    if (config.push !== undefined && this.#config.push === undefined) {
      this.#dismiss(new Refusal('FAILED_PRECONDITION', 'The subscription is pushed now'));
    }
    this.#config = config;
    if (!config.retainAcked) this.#backlog.forgetAcknowledged();
    this.dispatch();
  }

  /** Messages of the backlog by where they stand. */
  get counts(): Backlog['counts'] {
    this.#purge();
    return this.#backlog.counts;
  }

  /** Takes in a published message; one that the filter does not match counts as acknowledged at once. */
  receive(message: Message): void {
    if (!this.#filter(message.attributes)) return;
    const { habits, random } = this.#context;
    this.#backlog.add(message, habits.shuffled ? random() * ARRIVAL_SPREAD_MS : 0);
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

  /** Gives ready messages to consumers that have room, in turn. */
  dispatch(): void {
    if (this.#dispatching || this.#closed) return;
    this.#dispatching = true;
    this.#purge();
    const served = new Set<Consumer>();
    for (let consumer = this.#withRoom(); consumer !== undefined; consumer = this.#withRoom()) {
      const repeated = this.#repeats.shift();
      const entry = repeated ?? this.#backlog.take();
      if (entry === undefined) break;
      this.#deliver(entry, consumer, repeated !== undefined);
      served.add(consumer);
    }
    this.#dispatching = false;
    for (const consumer of served) consumer.flush();
    this.#context.changed();
  }

  /** Acknowledges a delivery that is under way; one whose deadline has passed is past acknowledging. */
  acknowledge(ackId: string): void {
    const lease = this.#end(ackId, 'acknowledged');
    if (lease === undefined) return;
    this.#touch();
    if (lease.entry.state !== 'acknowledged') this.totals.acknowledged += 1;
    this.#backlog.acknowledge(lease.entry, this.#config.retainAcked);
    this.dispatch();
  }

  /** Gives a delivery back as failed. */
  nack(ackId: string): void {
    this.#fail(ackId, 'nacked');
  }

  /** Lets a delivery take until `durationMs` from now. */
  extend(ackId: string, durationMs: number): void {
    const lease = this.#leases.get(ackId);
    if (lease === undefined) return;
    this.#touch();
    lease.timer.cancel();
    lease.timer = this.#deadline(ackId, durationMs);
  }

  /** Makes exactly the retained messages unacknowledged of which `wanted` says so. */
  seek(wanted: (message: Message) => boolean, others: readonly Message[] = []): void {
    this.#purge();
    this.#touch();
    const retained = [...(this.topic?.retained(this.#context.clock.nowMs()) ?? []), ...others];
    this.#backlog.seek(
      retained.filter(({ attributes }) => this.#filter(attributes)),
      wanted,
      this.#config.retainAcked,
    );
    for (const { ackId, entry } of [...this.#leases.values()]) {
      if (entry.state !== 'outstanding') this.#end(ackId, 'withdrawn');
    }
    this.dispatch();
  }

  /** The messages not acknowledged, oldest first. */
  unacknowledged(): readonly Message[] {
    this.#purge();
    return this.#backlog.unacknowledged();
  }

  /** Ends all deliveries and forgets all messages; consumers are told the reason. */
  close(reason: Refusal): void {
    this.#closed = true;
    this.#dismiss(reason);
    for (const ackId of [...this.#leases.keys()]) this.#end(ackId, 'withdrawn');
    for (const timer of this.#repeatTimers) timer.cancel();
    this.#repeats.length = 0;
    this.#backlog.clear();
  }

  #dismiss(reason: Refusal): void {
    for (const consumer of [...this.#consumers]) consumer.dismiss(reason);
    this.#consumers.clear();
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
    this.#leases.set(ackId, { ackId, entry, consumer, duplicate, timer });
    this.totals.delivered += 1;
    if (!duplicate) this.#perhapsDuplicate(entry);
    consumer.accept({ ackId, message: entry.message, attempt: entry.failures + 1 });
  }

  /** By chance delivers a message once more after a while, acknowledged meanwhile or not. */
  #perhapsDuplicate(entry: Entry): void {
    const { clock, random, habits } = this.#context;
    const inOrder = this.#config.ordered && entry.message.orderingKey !== '';
    if (random() >= habits.duplicateShare || inOrder) return;
    const timer = clock.after(random() * DUPLICATE_SPREAD_MS, () => {
      this.#repeatTimers.delete(timer);
      this.#repeats.push(entry);
      this.dispatch();
    });
    this.#repeatTimers.add(timer);
  }

  #deadline(ackId: string, durationMs: number): Timer {
    return this.#context.clock.after(durationMs, () => {
      this.#fail(ackId, 'expired');
    });
  }

  #fail(ackId: string, how: 'nacked' | 'expired'): void {
    const lease = this.#end(ackId, how);
    if (lease === undefined) return;
    this.totals[how] += 1;
    const { entry, duplicate } = lease;
    if (!duplicate && entry.state === 'outstanding') this.#retry(entry);
    this.dispatch();
  }

  #retry(entry: Entry): void {
    this.#backlog.fail(entry);
    const { deadLetter, retry } = this.#config;
    if (
      deadLetter !== undefined &&
      entry.failures >= deadLetter.maxDeliveryAttempts &&
      this.#context.deadLetter(entry.message, this.#config, entry.failures)
    ) {
      this.totals.deadLettered += 1;
      this.#backlog.acknowledge(entry, this.#config.retainAcked);
      return;
    }
    const delayMs = retryDelayMs(retry, entry.failures) * this.#context.habits.backoffFactor;
    this.#backlog.release(entry, delayMs);
  }

  #end(ackId: string, how: Ending): Lease | undefined {
    const lease = this.#leases.get(ackId);
    if (lease === undefined) return undefined;
    this.#leases.delete(ackId);
    lease.timer.cancel();
    lease.consumer.ended(ackId, how);
    return lease;
  }

  #purge(): void {
    const { retentionMs, retainAcked } = this.#config;
    const unacknowledgedMs = Math.max(retentionMs, this.topic?.config.retentionMs ?? 0);
    this.#backlog.purge({
      unacknowledgedMs,
      acknowledgedMs: retainAcked ? retentionMs : unacknowledgedMs,
    });
  }

  #touch(): void {
    this.lastUsedMs = this.#context.clock.nowMs();
  }
}
