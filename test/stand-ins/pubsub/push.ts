import { request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';

import type { Consumer, Delivery, Ending } from './delivery.ts';
import { pushRequest } from './push-request.ts';
import type { PushConfig } from './subscription-config.ts';
import type { Subscription } from './subscription.ts';

/** The statuses that acknowledge; any other is a nack (Pub/Sub, "Receive push messages"). */
const ACKNOWLEDGING_STATUSES: ReadonlySet<number> = new Set([102, 200, 201, 202, 204]);

/**
 * How many push requests may be outstanding: "a small single-digit window size" that follows the
 * share of successes (Pub/Sub, "Push subscriptions", delivery rate). Each success adds one place, so
 * that the window doubles with each round of successes; each failure takes a tenth of it.
 */
const WINDOW = { start: 5, largest: 3_000, loss: 0.1 } as const;

/**
 * The pause of a whole push subscription that has no retry policy, after so many failures in a row:
 * 100 ms, doubled up to 60 s (Pub/Sub, "Push subscriptions", push backoff). Messages of a
 * subscription with a retry policy wait each by itself.
 */
function pauseMs(failuresInARow: number): number {
  return Math.min(100 * 2 ** Math.min(failuresInARow - 1, 20), 60_000);
}

/** Delivers a subscription's messages as HTTP requests. */
class Push implements Consumer {
  readonly #subscription: Subscription;
  readonly #config: PushConfig;
  /** Multiplies its pauses. */
  readonly #pauseFactor: number;
  #window: number = WINDOW.start;
  /** Requests without an answer. */
  readonly #requests = new Map<string, ClientRequest>();
  /** Requests whose connection is open, answered or not. */
  readonly #open = new Set<ClientRequest>();
  #failuresInARow = 0;
  #pause: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(subscription: Subscription, config: PushConfig, pauseFactor: number) {
    this.#subscription = subscription;
    this.#config = config;
    this.#pauseFactor = pauseFactor;
  }

  get ackDeadlineMs(): number {
    return this.#subscription.config.ackDeadlineMs;
  }

  /** Whether no request is under way. */
  get idle(): boolean {
    return this.#open.size === 0;
  }

  hasRoom(): boolean {
    const places = Math.floor(this.#window);
    return !this.#stopped && this.#pause === undefined && this.#requests.size < places;
  }

  accept(delivery: Delivery): void {
    const { endpoint, format } = this.#config;
    const message = pushRequest(delivery, format, this.#subscription.config);
    if (message === undefined) {
      setImmediate(() => {
        this.#subscription.nack(delivery.ackId);
      });
      return;
    }
    const { headers, body } = message;
    const send = endpoint.startsWith('https:') ? httpsRequest : httpRequest;
    // A connection for each: one kept open may close under the next request, which would count as
    // an attempt that the product does not make.
    const request = send(endpoint, { method: 'POST', headers, agent: false });
    this.#requests.set(delivery.ackId, request);
    this.#settle(request, delivery.ackId);
    request.end(body);
  }

  ended(ackId: string, how: Ending): void {
    const request = this.#requests.get(ackId);
    this.#requests.delete(ackId);
    // The deadline is the request's timeout too.
    if (how === 'expired') request?.destroy();
    if (how === 'acknowledged') this.#succeeded();
    else if (how !== 'withdrawn') this.#failed();
  }

  /** Takes no more messages; requests under way go on. */
  dismiss(): void {
    this.#stopped = true;
    clearTimeout(this.#pause);
  }

  /** Ends all requests. */
  close(): void {
    this.dismiss();
    for (const request of this.#open) request.destroy();
  }

  #settle(request: ClientRequest, ackId: string): void {
    this.#open.add(request);
    request.on('close', () => {
      this.#open.delete(request);
    });
    const decide = (status: number): void => {
      if (ACKNOWLEDGING_STATUSES.has(status)) this.#subscription.acknowledge(ackId);
      else this.#subscription.nack(ackId);
    };
    request.on('information', ({ statusCode }) => {
      if (ACKNOWLEDGING_STATUSES.has(statusCode)) this.#subscription.acknowledge(ackId);
    });
    request.on('response', (response: IncomingMessage) => {
      // The status has decided; how the body ends does not matter.
      response.on('error', () => undefined);
      response.resume();
      decide(response.statusCode ?? 0);
    });
    request.on('error', () => {
      this.#subscription.nack(ackId);
    });
  }

  #succeeded(): void {
    this.#window = Math.min(this.#window + 1, WINDOW.largest);
    this.#failuresInARow = 0;
  }

  #failed(): void {
    this.#window = Math.max(this.#window * (1 - WINDOW.loss), 1);
    this.#failuresInARow += 1;
    const { retry } = this.#subscription.config;
    if (retry !== undefined || this.#stopped || this.#pause !== undefined) return;
    this.#pause = setTimeout(
      () => {
        this.#pause = undefined;
        this.#subscription.dispatch();
      },
      pauseMs(this.#failuresInARow) * this.#pauseFactor,
    );
  }
}

/** The pushes of all subscriptions: of each the one that pushes, the last, and replaced ones that still wait for answers. */
export class Pushes {
  readonly #pauseFactor: number;
  readonly #bySubscription = new Map<string, readonly Push[]>();

  constructor(pauseFactor: number) {
    this.#pauseFactor = pauseFactor;
  }

  /** Lets a subscription push, or cease to, as it is configured now; requests under way go on. */
  connect(subscription: Subscription): void {
    const { name, push } = subscription.config;
    const before = this.#bySubscription.get(name) ?? [];
    for (const one of before) {
      one.dismiss();
      subscription.detach(one);
    }
    const busy = before.filter(({ idle }) => !idle);
    if (push === undefined) {
      this.#bySubscription.set(name, busy);
      return;
    }
    const next = new Push(subscription, push, this.#pauseFactor);
    this.#bySubscription.set(name, [...busy, next]);
    subscription.attach(next);
  }

  /** Ends all requests of a subscription. */
  drop(name: string): void {
    for (const push of this.#bySubscription.get(name) ?? []) push.close();
    this.#bySubscription.delete(name);
  }
}
