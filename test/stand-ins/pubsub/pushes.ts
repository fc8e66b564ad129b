import type { Clock } from './clock.ts';
import { Push } from './push.ts';
import type { Subscription } from './subscription.ts';

/** The pushes of all subscriptions: of each the one that pushes, the last, and replaced ones that still wait for answers. */
export class Pushes {
  readonly #clock: Clock;
  readonly #backoffFactor: number;
  readonly #bySubscription = new Map<string, readonly Push[]>();

  constructor(clock: Clock, backoffFactor: number) {
    this.#clock = clock;
    this.#backoffFactor = backoffFactor;
  }

  /** Lets a subscription push, or cease to, as it is configured now; requests under way go on. */
  connect(subscription: Subscription): void {
    const { name, push, ackDeadlineMs, retry, deadLetter } = subscription.config;
    const before = this.#bySubscription.get(name) ?? [];
    for (const one of before) {
      one.stop();
      subscription.detach(one);
    }
    const busy = before.filter(({ idle }) => !idle);
    if (push === undefined) {
      this.#bySubscription.set(name, busy);
      return;
    }
    const next = new Push(subscription, {
      origin: { subscription: name, config: push, countsAttempts: deadLetter !== undefined },
      ackDeadlineMs,
      hasRetryPolicy: retry !== undefined,
      backoffFactor: this.#backoffFactor,
      clock: this.#clock,
    });
    this.#bySubscription.set(name, [...busy, next]);
    subscription.attach(next);
  }

  /** Ends all requests of a subscription. */
  drop(name: string): void {
    for (const push of this.#bySubscription.get(name) ?? []) push.close();
    this.#bySubscription.delete(name);
  }
}
