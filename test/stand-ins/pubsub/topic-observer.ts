import { PubSub, type Message, type Subscription } from '@google-cloud/pubsub';

/** Which topics are read and who is told. */
export interface TopicObserverOptions {
  /** `HOST:PORT` of a stand-in or of Google's emulator. */
  readonly host: string;
  readonly projectId: string;
  /** Topics to read along with. */
  readonly topics: readonly string[];
  /** Told every message once it arrives; duplicates come as the broker makes them. */
  readonly onMessage: (
    topic: string,
    message: { readonly attributes: Readonly<Record<string, string>>; readonly data: Buffer },
  ) => void;
}

/** Reads along with topics, by pull subscriptions of its own, without taking part in the work. */
export async function observeTopics(
  options: TopicObserverOptions,
): Promise<{ close(): Promise<void> }> {
  const pubsub = new PubSub({
    apiEndpoint: options.host,
    projectId: options.projectId,
    emulatorMode: true,
  });
  const subscriptions: Subscription[] = [];
  for (const topic of options.topics) {
    const [subscription] = await pubsub.createSubscription(topic, `observer-of-${topic}`);
    subscription.on('message', (message: Message) => {
      options.onMessage(topic, { attributes: message.attributes, data: message.data });
      message.ack();
    });
    // The stream is opened again by the client; what it cannot mend shows as missing convergence.
    subscription.on('error', () => undefined);
    subscriptions.push(subscription);
  }
  return {
    close: async () => {
      await Promise.all(subscriptions.map(async (subscription) => subscription.close()));
      await pubsub.close();
    },
  };
}
