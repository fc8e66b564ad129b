import { PubSub, type Message, type Subscription } from '@google-cloud/pubsub';

/** What a tap reads from and whom it tells. */
export interface TapOptions {
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
export async function tapTopics(options: TapOptions): Promise<{ close(): Promise<void> }> {
  const pubsub = new PubSub({
    apiEndpoint: options.host,
    projectId: options.projectId,
    emulatorMode: true,
  });
  const taps: Subscription[] = [];
  for (const topic of options.topics) {
    const [subscription] = await pubsub.createSubscription(topic, `tap-of-${topic}`);
    subscription.on('message', (message: Message) => {
      options.onMessage(topic, { attributes: message.attributes, data: message.data });
      message.ack();
    });
    // The stream is opened again by the client; what it cannot mend shows as missing convergence.
    subscription.on('error', () => undefined);
    taps.push(subscription);
  }
  return {
    close: async () => {
      await Promise.all(taps.map(async (subscription) => subscription.close()));
      await pubsub.close();
    },
  };
}
