import { request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';

import type { Clock, Timer } from './clock.ts';
import type { Consumer, Delivery, Ending } from './consumer.ts';
import { ACKNOWLEDGING_STATUSES, pushRequest, type PushOrigin } from './push-request.ts';
import { PushWindow, pushPauseMs } from './push-window.ts';
import type { Subscription } from './subscription.ts';

/** What a push needs beside its subscription. */
export interface PushSettings {
  readonly origin: PushOrigin;
  readonly ackDeadlineMs: number;
  /** Whether messages wait each by itself; else the whole subscription pauses after failures. */
  readonly hasRetryPolicy: boolean;
  readonly backoffFactor: number;
  readonly clock: Clock;
}

/** Delivers a subscription's messages as HTTP requests. */
export class Push implements Consumer {
  readonly #subscription: Subscription;
  readonly #settings: PushSettings;
  readonly #window = new PushWindow();
  /** Requests without an answer. */
  readonly #requests = new Map<string, ClientRequest>();
  /** Requests whose connection is open, answered or not. */
  readonly #open = new Set<ClientRequest>();
  #failuresInARow = 0;
  #pause: Timer | undefined;
  #stopped = false;

  constructor(subscription: Subscription, settings: PushSettings) {
    this.#subscription = subscription;
    this.#settings = settings;
  }

  get ackDeadlineMs(): number {
    return this.#settings.ackDeadlineMs;
  }

  /** Whether no request is under way. */
  get idle(): boolean {
    return this.#open.size === 0;
  }

  hasRoom(): boolean {
    return !this.#stopped && this.#pause === undefined && this.#requests.size < this.#window.size;
  }

  accept(delivery: Delivery): void {
    const { origin, clock } = this.#settings;
    const message = pushRequest(delivery, origin, clock.nowMs());
    if (message === undefined) {
      setImmediate(() => {
        this.#subscription.nack(delivery.ackId);
      });
      return;
    }
    const { headers, body } = message;
    const { endpoint } = origin.config;
    const send = endpoint.startsWith('https:') ? httpsRequest : httpRequest;
    // A connection for each: one kept open may close under the next request, which would count as
    // an attempt that the product does not make.
    const request = send(endpoint, { method: 'POST', headers, agent: false });
    this.#requests.set(delivery.ackId, request);
    this.#settle(request, delivery.ackId);
    request.end(body);
  }

  flush(): void {
    // Each request is sent when its message is taken.
  }

  ended(ackId: string, how: Ending): void {
    const request = this.#requests.get(ackId);
    this.#requests.delete(ackId);
    // The deadline is the request's timeout too.
    if (how === 'expired') request?.destroy();
    if (how === 'acknowledged') this.#succeeded();
    else if (how !== 'withdrawn') this.#failed();
  }

  dismiss(): void {
    this.stop();
  }

  /** Takes no more messages; requests under way go on. */
  stop(): void {
    this.#stopped = true;
    this.#pause?.cancel();
  }

  /** Ends all requests. */
  close(): void {
    this.stop();
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
      response.on('error', ignore);
      response.resume();
      decide(response.statusCode ?? 0);
    });
    request.on('error', () => {
      this.#subscription.nack(ackId);
    });
  }

  #succeeded(): void {
    this.#window.succeeded();
    this.#failuresInARow = 0;
  }

  #failed(): void {
    this.#window.failed();
    this.#failuresInARow += 1;
    const { hasRetryPolicy, backoffFactor, clock } = this.#settings;
    if (hasRetryPolicy || this.#stopped || this.#pause !== undefined) return;
    this.#pause = clock.after(pushPauseMs(this.#failuresInARow) * backoffFactor, () => {
      this.#pause = undefined;
      this.#subscription.dispatch();
    });
  }
}

function ignore(): void {
  // The status has decided; how the body ends does not matter.
}
