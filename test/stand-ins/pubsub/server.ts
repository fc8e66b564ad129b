import type { UntypedHandleCall } from '@grpc/grpc-js';

import { Broker } from './broker.ts';
import { Random } from '../../random.ts';
import type { DeliveryHabits } from './delivery.ts';
import { implementation, listen, loadServices, newServer, shutDown, streaming } from './grpc.ts';
import { Interceptors, type Faults, type Permissions } from './interceptors.ts';
import { StreamingPull, type WireStreamingPullResponse } from './streaming-pull.ts';
import { publisherMethods, subscriberMethods } from './methods.ts';
import { PubsubView } from './view.ts';
import type { WireStreamingPullRequest } from './wire.ts';

/** A running Pub/Sub. */
export interface LocalPubsub {
  /** `127.0.0.1:PORT`, the value of `PUBSUB_EMULATOR_HOST`. */
  readonly host: string;
  /** What is in it. */
  readonly view: PubsubView;
  /** What goes wrong with requests. */
  readonly faults: Faults;
  /** What the callers may do. */
  readonly permissions: Permissions;
  /** Requests that have arrived for a method such as `Publish`, refused ones included. */
  requests(method: string): number;
  /** Ends everything under way, pushes included; resolves when the port is free. */
  close(): Promise<void>;
}

/** How a stand-in delivers: {@link DEFAULT_HABITS} unless told otherwise. */
export interface PubsubOptions extends Partial<Omit<DeliveryHabits, 'random'>> {
  /** Seed of all chance; default 1. */
  readonly seed?: number;
}

/** Deliveries in any order, 1 % twice, after the waits that the policies ask for. */
const DEFAULT_HABITS = {
  shuffled: true,
  duplicateShare: 0.01,
  backoffFactor: 1,
  speed: 1,
} as const;

/**
 * Starts a Pub/Sub on the loopback interface that the real client library talks to. Nothing is in
 * it yet and nothing is kept on disk. It refuses what the product refuses; what it does not do
 * (lists and updates, ordering, exactly-once delivery, schemas, transforms, exports, keeping IAM
 * policies) it answers with UNIMPLEMENTED.
 */
export async function startPubsub({
  seed = 1,
  ...habits
}: PubsubOptions = {}): Promise<LocalPubsub> {
  const chance = new Random(seed);
  const broker = new Broker({ ...DEFAULT_HABITS, ...habits, random: () => chance.next() });
  const interceptors = new Interceptors();
  const { faults, permissions } = interceptors;
  const admit = interceptors.admit.bind(interceptors);
  const exists = (resource: string): boolean =>
    broker.topics.has(resource) || broker.subscriptions.has(resource);
  const services = loadServices();
  const server = newServer();
  server.addService(services.publisher, implementation(publisherMethods(broker), admit));
  server.addService(services.subscriber, {
    ...implementation(subscriberMethods(broker), admit),
    StreamingPull: streamingPull(broker, interceptors),
  });
  server.addService(services.iamPolicy, implementation(permissions.methods(exists), admit));
  const port = await listen(server);
  return {
    host: `127.0.0.1:${port}`,
    view: new PubsubView(broker),
    faults,
    permissions,
    requests: (method) => interceptors.requests(method),
    close: async () => {
      broker.close();
      await shutDown(server);
    },
  };
}

function streamingPull(broker: Broker, interceptors: Interceptors): UntypedHandleCall {
  return streaming<WireStreamingPullRequest, WireStreamingPullResponse>((peer) => {
    const pull = new StreamingPull(broker, peer);
    let admitted = false;
    return {
      receive: (request) => {
        if (!admitted) interceptors.admit('StreamingPull', request);
        admitted = true;
        pull.receive(request);
      },
      end: () => {
        pull.end();
      },
    };
  });
}
