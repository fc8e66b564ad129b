import type { Message } from './message.ts';
import type { Refusal } from './refusal.ts';

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
  flush(): void;
  /** Told once that a delivery it took has ended. */
  ended(ackId: string, how: Ending): void;
  /** Told that it gets no more, for this reason: the subscription is gone or is delivered otherwise. */
  dismiss(reason: Refusal): void;
}
