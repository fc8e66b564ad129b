import type { Consumer, Delivery, Ending } from '../../stand-ins/pubsub/consumer.ts';
import type { Refusal } from '../../stand-ins/pubsub/refusal.ts';

/** A consumer that keeps what it gets. */
export class RecordingConsumer implements Consumer {
  readonly ackDeadlineMs: number;
  readonly deliveries: Delivery[] = [];
  readonly endings: (readonly [ackId: string, how: Ending])[] = [];
  readonly dismissals: Refusal[] = [];
  flushes = 0;
  /** Most deliveries at once. */
  limit: number;
  #held = 0;

  constructor(limit = Infinity, ackDeadlineMs = 10_000) {
    this.limit = limit;
    this.ackDeadlineMs = ackDeadlineMs;
  }

  /** Message ids in the order they came. */
  get messageIds(): readonly string[] {
    return this.deliveries.map(({ message }) => message.messageId);
  }

  /** The last delivery. */
  get last(): Delivery {
    const last = this.deliveries.at(-1);
    if (last === undefined) throw new Error('nothing was delivered');
    return last;
  }

  hasRoom(): boolean {
    return this.#held < this.limit;
  }

  accept(delivery: Delivery): void {
    this.#held += 1;
    this.deliveries.push(delivery);
  }

  flush(): void {
    this.flushes += 1;
  }

  ended(ackId: string, how: Ending): void {
    this.#held -= 1;
    this.endings.push([ackId, how]);
  }

  dismiss(reason: Refusal): void {
    this.dismissals.push(reason);
  }
}
