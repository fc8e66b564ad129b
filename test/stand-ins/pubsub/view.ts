import type { Broker } from './broker.ts';
import type { Message } from './message.ts';

/** How a subscription stands. */
export interface SubscriptionView {
  /** Full name: `projects/P/subscriptions/S`. */
  readonly name: string;
  /** Where it pushes to; absent for a pull subscription. */
  readonly pushEndpoint?: string;
  /** Messages that wait to be delivered, their back-off included. */
  readonly undelivered: number;
  /** Messages that a subscriber holds. */
  readonly outstanding: number;
  /** Messages that subscribers have acknowledged, since it was made. */
  readonly acknowledged: number;
  /** Deliveries that subscribers gave back; those whose deadline passed are not among them. */
  readonly nacked: number;
}

/** How a topic stands. */
export interface TopicView {
  /** Full name: `projects/P/topics/T`. */
  readonly name: string;
  /** Messages published since it was made. */
  readonly published: number;
}

/** Looks at a Pub/Sub without changing it. */
export class PubsubView {
  readonly #broker: Broker;

  constructor(broker: Broker) {
    this.#broker = broker;
  }

  /** All topics, in the order they were made. */
  topics(): readonly TopicView[] {
    return [...this.#broker.topics.values()].map(({ name, published }) => ({ name, published }));
  }

  /**
   * Messages published to a topic, oldest first: those it retains, without retention at least the
   * last 1,000. None where there is no such topic.
   */
  messages(topic: string): readonly Message[] {
    return [...(this.#broker.topics.get(topic)?.remembered ?? [])];
  }

  /** All subscriptions, in the order they were made. */
  subscriptions(): readonly SubscriptionView[] {
    return [...this.#broker.subscriptions.values()].map(
      ({ config: { name, push }, counts: { undelivered, outstanding }, acknowledged, nacked }) => ({
        name,
        ...(push === undefined ? {} : { pushEndpoint: push.endpoint }),
        undelivered,
        outstanding,
        acknowledged,
        nacked,
      }),
    );
  }

  /** A subscription by its full name; undefined where there is none. */
  subscription(name: string): SubscriptionView | undefined {
    return this.subscriptions().find((subscription) => subscription.name === name);
  }

  /** Resolves as soon as `holds`, looked at now and after every change. @throws the signal's reason */
  async until(holds: (view: PubsubView) => boolean, signal?: AbortSignal): Promise<void> {
    if (holds(this)) return;
    const { promise, resolve, reject } = Promise.withResolvers<undefined>();
    const check = (): void => {
      try {
        if (holds(this)) resolve(undefined);
      } catch (error) {
        reject(error);
      }
    };
    const abort = (): void => {
      reject(signal?.reason as Error);
    };
    const stop = this.#broker.listen(check);
    if (signal?.aborted === true) abort();
    signal?.addEventListener('abort', abort);
    try {
      await promise;
    } finally {
      stop();
      signal?.removeEventListener('abort', abort);
    }
  }
}
