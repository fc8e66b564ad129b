import type { Consumer, Delivery } from './delivery.ts';
import type { Refusal } from './refusal.ts';
import type { Subscription } from './subscription.ts';

/** One Pull request: waits for a first message, and takes what else is ready with it. */
export class Pull implements Consumer {
  readonly #subscription: Subscription;
  readonly #limit: number;
  readonly #taken: Delivery[] = [];
  readonly #answer = Promise.withResolvers<readonly Delivery[]>();
  #timer: NodeJS.Timeout | undefined;
  #answered = false;

  /** `limit`: the most messages it takes. */
  constructor(subscription: Subscription, limit: number) {
    this.#subscription = subscription;
    this.#limit = limit;
  }

  get ackDeadlineMs(): number {
    return this.#subscription.config.ackDeadlineMs;
  }

  /** Takes messages; none when `waitMs` passes before there is one. @throws Refusal when dismissed */
  run(waitMs: number): Promise<readonly Delivery[]> {
    this.#subscription.attach(this);
    if (!this.#answered) {
      this.#timer = setTimeout(() => {
        this.finish();
      }, waitMs);
    }
    return this.#answer.promise;
  }

  /** Answers with what there is. */
  finish(): void {
    this.#conclude();
    this.#answer.resolve(this.#taken);
  }

  dismiss(reason: Refusal): void {
    this.#conclude();
    this.#answer.reject(reason);
  }

  hasRoom(): boolean {
    return !this.#answered && this.#taken.length < this.#limit;
  }

  accept(delivery: Delivery): void {
    this.#taken.push(delivery);
  }

  flush(): void {
    this.finish();
  }

  #conclude(): void {
    this.#answered = true;
    clearTimeout(this.#timer);
    this.#subscription.detach(this);
  }
}
