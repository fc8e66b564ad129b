import type { Clock, Timer } from './clock.ts';
import type { Consumer, Delivery } from './consumer.ts';
import type { Refusal } from './refusal.ts';
import type { Subscription } from './subscription.ts';

/** How long a pull waits for a first message: the product says "a bounded amount of time". */
export const PULL_WAIT_MS = 10_000;

/** One Pull request: waits for a first message, and takes what else is ready with it. */
export class Pull implements Consumer {
  readonly #subscription: Subscription;
  readonly #limit: number;
  readonly #taken: Delivery[] = [];
  readonly #answer = Promise.withResolvers<readonly Delivery[]>();
  #timer: Timer | undefined;
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
  run(clock: Clock, waitMs: number): Promise<readonly Delivery[]> {
    this.#subscription.attach(this);
    if (!this.#answered) {
      this.#timer = clock.after(waitMs, () => {
        this.finish();
      });
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

  ended(): void {
    // What becomes of a message after the answer is none of the request's business.
  }

  #conclude(): void {
    this.#answered = true;
    this.#timer?.cancel();
    this.#subscription.detach(this);
  }
}
