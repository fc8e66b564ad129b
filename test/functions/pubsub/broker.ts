import type { TestContext } from 'node:test';

import { PubSub } from '@google-cloud/pubsub';

import { queueClient, type QueueClient } from '../../../functions/pubsub/client.ts';
import {
  startPubsub,
  type LocalPubsub,
  type PubsubOptions,
} from '../../stand-ins/pubsub/server.ts';
import { startTcpProxy, type TcpProxy } from '../../tcp-proxy.ts';
import { withEnvironment } from '../environment.ts';

/** A local Pub/Sub with a topic and a pull subscription of the same name, and a client to it. */
export interface Broker {
  readonly pubsub: LocalPubsub;
  readonly client: QueueClient;
  readonly admin: PubSub;
  close(): Promise<void>;
}

// Nothing of Google is meant to be found on this machine.
process.env['METADATA_SERVER_DETECTION'] = 'none';

/** Project of everything in it. */
export const PROJECT = 'test-project';

/** Starts one; the client under test finds it as a process would, by the environment. */
export async function startBroker(...topics: readonly string[]): Promise<Broker> {
  return startBrokerWith({ backoffFactor: 0 }, ...topics);
}

/** Starts one with habits of its own. */
export async function startBrokerWith(
  options: PubsubOptions,
  ...topics: readonly string[]
): Promise<Broker> {
  const pubsub = await startPubsub({ duplicateShare: 0, ...options });
  const admin = new PubSub({
    apiEndpoint: pubsub.host,
    projectId: PROJECT,
    emulatorMode: true,
  });
  for (const topic of topics) {
    await admin.createTopic({ name: topic, messageRetentionDuration: { seconds: 600 } });
    await admin.createSubscription(topic, topic);
  }
  process.env['PUBSUB_EMULATOR_HOST'] = pubsub.host;
  const client = queueClient(PROJECT);
  await client.open();
  await client.openStream();
  delete process.env['PUBSUB_EMULATOR_HOST'];
  return {
    pubsub,
    client,
    admin,
    close: async () => {
      await client.close();
      await admin.close();
      await pubsub.close();
    },
  };
}

/** One that closes when the test ends. */
export async function brokerOf(t: TestContext, ...topics: readonly string[]): Promise<Broker> {
  const broker = await startBroker(...topics);
  t.after(() => broker.close());
  return broker;
}

/** One of a topic behind a proxy, and a client that reaches it so. */
export async function proxied(
  t: TestContext,
  topic: string,
  options: Parameters<typeof queueClient>[1],
): Promise<{ broker: Broker; proxy: TcpProxy; client: QueueClient }> {
  const broker = await startBroker(topic);
  const proxy = await startTcpProxy(broker.pubsub.host);
  withEnvironment(t, { PUBSUB_EMULATOR_HOST: proxy.address });
  const client = queueClient(PROJECT, options);
  t.after(async () => {
    await client.close();
    await proxy.close();
    await broker.close();
  });
  return { broker, proxy, client };
}
