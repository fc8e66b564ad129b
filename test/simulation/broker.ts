import type { EncodedEvent } from '../../functions/contract/codec.ts';
import type { Random } from '../random.ts';
import type { Scheduler } from './scheduler.ts';

/** The two topics that are pushed to the service. */
export type Topic = 'live' | 'bulk';

/** What a process says to a message: `nack` asks for it again. */
export type Verdict = 'ack' | 'nack';

/** A process that messages are pushed to. */
export interface Receiver {
  readonly name: string;
  /** Whether it takes new messages. */
  readonly isOpen: boolean;
  handle(message: PushedMessage): Promise<Verdict>;
  /** Settles when the process died: what it had is delivered again. */
  readonly died: Promise<unknown>;
}

/** One push of a message. */
export interface PushedMessage {
  readonly id: string;
  readonly attempt: number;
  readonly encoded: EncodedEvent;
}

interface Held extends PushedMessage {
  readonly topic: Topic;
  /** Process that published it; undefined: the cluster. */
  readonly publisher: string | undefined;
}

/** Messages that one process works on at once (Cloud Run's concurrency). */
const CONCURRENCY = 4;
/** Deliveries of a message before it is put aside; with faults that end, none needs so many. */
const MAX_ATTEMPTS = 40;

/** Waits before a message is pushed again (the subscription's retry policy), milliseconds. */
const MIN_BACKOFF_MS = 10_000;
const MAX_BACKOFF_MS = 160_000;

/** Pub/Sub push: at least once, in any order, again after a while where it was not acknowledged. */
export class Broker {
  readonly #scheduler: Scheduler;
  readonly #random: Random;
  readonly #receivers: (topic: Topic) => readonly Receiver[];
  readonly #busy = new Map<Receiver, number>();
  #messages = 0;
  #open = 0;
  #underWay = 0;
  /** Told that what one process published goes to another. */
  onMovedOn: () => void = () => undefined;
  /** Messages that were delivered too often. */
  readonly exhausted: string[] = [];

  constructor(
    scheduler: Scheduler,
    random: Random,
    receivers: (topic: Topic) => readonly Receiver[],
  ) {
    this.#scheduler = scheduler;
    this.#random = random;
    this.#receivers = receivers;
  }

  /** Messages that are not acknowledged. */
  get open(): number {
    return this.#open;
  }

  /** Messages that a process works on. */
  get underWay(): number {
    return this.#underWay;
  }

  /** Takes a message; it will be pushed after `delayMs`. */
  publish(topic: Topic, encoded: EncodedEvent, delayMs: number, publisher?: string): void {
    this.#messages += 1;
    this.#open += 1;
    this.#pushIn({ id: `m${this.#messages}`, topic, attempt: 1, encoded, publisher }, delayMs);
  }

  #pushIn(message: Held, delayMs: number): void {
    const { id, topic, attempt } = message;
    const label = `push ${id} (attempt ${attempt}) to ${topic}`;
    this.#scheduler.after(
      delayMs,
      'world',
      label,
      () => {
        this.#push(message);
      },
      true,
    );
  }

  #push(message: Held): void {
    const free = this.#receivers(message.topic).filter(
      (receiver) => receiver.isOpen && (this.#busy.get(receiver) ?? 0) < CONCURRENCY,
    );
    // Cloud Run's front answers 429 where no instance has room.
    if (free.length === 0) this.#again(message);
    else this.#deliver(message, this.#random.pick(free));
  }

  #deliver(message: Held, receiver: Receiver): void {
    this.#busy.set(receiver, (this.#busy.get(receiver) ?? 0) + 1);
    this.#underWay += 1;
    this.#scheduler.note(`deliver ${message.id} to ${receiver.name}`);
    if (message.publisher !== undefined && message.publisher !== receiver.name) {
      this.onMovedOn();
    }
    const died = receiver.died.then((): Verdict => 'nack');
    void Promise.race([receiver.handle(message), died]).then((verdict) => {
      this.#busy.set(receiver, (this.#busy.get(receiver) ?? 0) - 1);
      this.#underWay -= 1;
      this.#scheduler.note(`${verdict} ${message.id}`);
      if (verdict === 'ack') this.#open -= 1;
      else this.#again(message);
    });
  }

  #again(message: Held): void {
    const attempt = message.attempt + 1;
    if (attempt > MAX_ATTEMPTS) {
      this.exhausted.push(message.id);
      this.#open -= 1;
      return;
    }
    const delayMs = Math.min(MIN_BACKOFF_MS * 2 ** (message.attempt - 1), MAX_BACKOFF_MS);
    this.#pushIn({ ...message, attempt }, delayMs + this.#random.below(MIN_BACKOFF_MS));
  }
}
