import type { Clock } from './clock.ts';
import { resourceOf, type CallContext, type Decorator, type Method } from './methods.ts';
import { Refusal, type StatusName } from './refusal.ts';

/** What goes wrong with a request; a stream can only be refused. */
export type Trouble =
  /** It is not carried out and answered with this status. */
  | { readonly kind: 'refused'; readonly status: StatusName }
  /** It is carried out late. */
  | { readonly kind: 'slow'; readonly delayMs: number }
  /** It is carried out, and answered UNAVAILABLE as if it had not been. */
  | { readonly kind: 'answer-lost' }
  /** It is carried out twice, as when a network repeats it. */
  | { readonly kind: 'repeated' };

/** Trouble, and which requests meet it. */
export type Disturbance = Trouble & {
  /** Name of the method, such as `Publish`. */
  readonly method: string;
  /** Full name of the topic, subscription or snapshot; default any. */
  readonly resource?: string;
  /** How many requests meet it; default 1, Infinity for all. */
  readonly times?: number;
};

/** The disturbances that are still to come; of several that fit a request the oldest happens. */
export class Disturbances {
  readonly #clock: Clock;
  readonly #pending: { readonly disturbance: Disturbance; left: number }[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Lets these happen, after those that were added before. */
  add(...disturbances: readonly Disturbance[]): void {
    for (const disturbance of disturbances) {
      this.#pending.push({ disturbance, left: disturbance.times ?? 1 });
    }
  }

  /** Forgets what has not happened. */
  clear(): void {
    this.#pending.length = 0;
  }

  /** The trouble that a request meets, now used up. */
  take(method: string, request: unknown): Trouble | undefined {
    const resource = resourceOf(request);
    const index = this.#pending.findIndex(
      ({ disturbance }) =>
        disturbance.method === method && (disturbance.resource ?? resource) === resource,
    );
    const found = this.#pending[index];
    if (found === undefined) return undefined;
    found.left -= 1;
    if (found.left <= 0) this.#pending.splice(index, 1);
    return found.disturbance;
  }

  /** Lets the disturbances happen to the methods of a service. */
  readonly decorate: Decorator = (name, method) => (request, call) => {
    const trouble = this.take(name, request);
    return trouble === undefined
      ? method(request, call)
      : this.#meet(trouble, method, request, call);
  };

  async #meet(
    trouble: Trouble,
    method: Method,
    request: never,
    call: CallContext,
  ): Promise<object> {
    switch (trouble.kind) {
      case 'refused':
        throw new Refusal(trouble.status, `Disturbed: ${trouble.status}`);
      case 'slow':
        await this.#wait(trouble.delayMs, call.signal);
        return method(request, call);
      case 'answer-lost':
        await method(request, call);
        throw new Refusal('UNAVAILABLE', 'Disturbed: the answer is lost');
      case 'repeated':
        await method(request, call);
        return method(request, call);
    }
  }

  /** Waits; a caller who gives up meanwhile is not served. */
  #wait(delayMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = this.#clock.after(delayMs, resolve);
      signal.addEventListener('abort', () => {
        timer.cancel();
        reject(new Refusal('CANCELLED', 'The caller has given up'));
      });
    });
  }
}
