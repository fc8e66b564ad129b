import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';

import { PubSub, v1, type CreateSubscriptionOptions } from '@google-cloud/pubsub';

import {
  startPubsub,
  type LocalPubsub,
  type PubsubOptions,
} from '../../stand-ins/pubsub/server.ts';
import type { SubscriptionView } from '../../stand-ins/pubsub/view.ts';

// Nothing of Google Cloud is to be looked for.
process.env['METADATA_SERVER_DETECTION'] = 'none';

/** The project of all tests. */
export const PROJECT = 'test-project';

/** The longest that a test waits for something; a healthy one waits milliseconds. */
const PATIENCE_MS = 20_000;

/** A stand-in with the real client library connected to it. */
export interface Setting {
  readonly pubsub: LocalPubsub;
  readonly client: PubSub;
  /** The clients below the library's own, one method for each of the API. */
  readonly publisher: () => Promise<v1.PublisherClient>;
  readonly subscriber: () => Promise<v1.SubscriberClient>;
  /** Closes something with the test, before the client and the stand-in are. */
  readonly closeFirst: (close: () => Promise<void>) => void;
  /** Makes a topic. */
  readonly topic: (name: string, retentionSeconds?: number) => Promise<void>;
  /** Makes a subscription of a topic. */
  readonly subscription: (
    topic: string,
    name: string,
    options?: CreateSubscriptionOptions,
  ) => Promise<void>;
  /** Publishes a text; answers with its message id. */
  readonly publish: (
    topic: string,
    text: string,
    attributes?: Record<string, string>,
  ) => Promise<string>;
  /** Waits until so many requests of a method have arrived. */
  readonly arrived: (method: string, count: number) => Promise<void>;
  /** How a subscription stands. */
  readonly look: (name: string) => SubscriptionView;
  /** Waits until a subscription stands so. */
  readonly until: (name: string, holds: (view: SubscriptionView) => boolean) => Promise<void>;
}

/**
 * Starts a stand-in and a client, closed with the test. Unless asked for otherwise, chance is off:
 * messages come in order and once.
 */
export async function startSetting(t: TestContext, options: PubsubOptions = {}): Promise<Setting> {
  const pubsub = await startPubsub({ shuffled: false, duplicateShare: 0, ...options });
  const client = new PubSub({
    projectId: PROJECT,
    apiEndpoint: pubsub.host,
    emulatorMode: true,
  });
  const closings: (() => Promise<void>)[] = [];
  t.after(async () => {
    for (const close of closings) await close();
    await client.close();
    await pubsub.close();
  });
  const look = (name: string): SubscriptionView => {
    const view = pubsub.view.subscription(subscriptionName(name));
    assert.ok(view, `there is no subscription ${name}`);
    return view;
  };
  return {
    pubsub,
    client,
    look,
    publisher: async () => {
      const publisher = new v1.PublisherClient(await configOf(client));
      closings.push(() => publisher.close());
      return publisher;
    },
    subscriber: async () => {
      const subscriber = new v1.SubscriberClient(await configOf(client));
      closings.push(() => subscriber.close());
      return subscriber;
    },
    closeFirst: (close) => void closings.push(close),
    arrived: async (method, count) => {
      const endMs = Date.now() + PATIENCE_MS;
      while (pubsub.requests(method) < count) {
        assert.ok(Date.now() < endMs, `${method} has not arrived`);
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
    },
    topic: async (name, retentionSeconds) => {
      await client.createTopic({
        name,
        ...(retentionSeconds === undefined
          ? {}
          : { messageRetentionDuration: { seconds: retentionSeconds } }),
      });
    },
    subscription: async (topic, name, subscriptionOptions = {}) => {
      await client.createSubscription(topic, name, subscriptionOptions);
    },
    publish: (topic, text, attributes = {}) =>
      client
        .topic(topic, { batching: { maxMessages: 1 } })
        .publishMessage({ data: Buffer.from(text), attributes }),
    until: (name, holds) =>
      pubsub.view.until(() => holds(look(name)), AbortSignal.timeout(PATIENCE_MS)),
  };
}

/** What the library itself makes its clients with; its types of the two sides do not meet. */
async function configOf(
  client: PubSub,
): Promise<ConstructorParameters<typeof v1.PublisherClient>[0]> {
  return (await client.getClientConfig()) as ConstructorParameters<typeof v1.PublisherClient>[0];
}

/** Full name of a topic of the tests' project. */
export function topicName(name: string): string {
  return `projects/${PROJECT}/topics/${name}`;
}

/** Full name of a subscription of the tests' project. */
export function subscriptionName(name: string): string {
  return `projects/${PROJECT}/subscriptions/${name}`;
}
