import { PubSub } from '@google-cloud/pubsub';

import { queueClient, type QueueClient } from '../../../functions/pubsub/client.ts';
import {
  startPubsub,
  type LocalPubsub,
  type PubsubOptions,
} from '../../stand-ins/pubsub/server.ts';

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
