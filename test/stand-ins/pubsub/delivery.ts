import type { Message } from './message.ts';
import type { Refusal } from './refusal.ts';

/** How the stand-in delivers: what the product does by chance is here by seeded chance. */
export interface DeliveryHabits {
  /** Whether messages come in any order; false: the oldest first. */
  readonly shuffled: boolean;
  /** Share of deliveries that come once more though nothing failed, 0 to 1. */
  readonly duplicateShare: number;
  /** Multiplies the waits before redelivery, and nothing else; 0: no wait. */
  readonly backoffFactor: number;
  /** How many times as fast as the product's its deadlines and waits pass; more than 0. */
  readonly speed: number;
  /** The chance: numbers from 0 to 1, without 1. */
  readonly random: () => number;
}

/** One delivery of a message. */
export interface Delivery {
  readonly ackId: string;
  readonly message: Message;
  /** 1 for the first, one more for each nack and expired deadline before. */
  readonly attempt: number;
}

/** How a delivery ended. */
export type Ending = 'acknowledged' | 'nacked' | 'expired' | 'withdrawn';

/** Something that takes messages of a subscription: its push, a stream, a pull. */
export interface Consumer {
  /** How long each delivery may take, in milliseconds. */
  readonly ackDeadlineMs: number;
  /** Whether it takes one more message now. */
  hasRoom(): boolean;
  /** Takes a message. */
  accept(delivery: Delivery): void;
  /** Called after one or more messages were taken in one go. */
  flush?(): void;
  /** Told once that a delivery it took has ended. */
  ended?(ackId: string, how: Ending): void;
  /** Told that it gets no more, for this reason: the subscription is gone or is delivered otherwise. */
  dismiss(reason: Refusal): void;
}
