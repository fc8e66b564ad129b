import type { Server, UntypedHandleCall } from '@grpc/grpc-js';

import { Broker } from './broker.ts';
import { systemClock, type Clock } from './clock.ts';
import type { Disturbance, Disturbances } from './disturbances.ts';
import { Gates } from './gates.ts';
import { implementation, listen, newServer, shutDown, streaming } from './grpc.ts';
import type { Permissions } from './permissions.ts';
import { loadServices } from './protos.ts';
import { publisherMethods } from './publisher-service.ts';
import { seededRandom } from './random.ts';
import { Refusal } from './refusal.ts';
import { StreamingPull, type WireStreamingPullResponse } from './streaming-pull.ts';
import { subscriberMethods } from './subscriber-service.ts';
import { PubsubView } from './view.ts';
import type { WireStreamingPullRequest } from './wire.ts';

/** How a stand-in runs. */
export interface PubsubOptions {
  /** Port on 127.0.0.1; default 0: any free one. */
  readonly port?: number;
  /** Default the machine's. */
  readonly clock?: Clock;
  /** Seed of all chance; default 1. */
  readonly seed?: number;
  /** Whether messages without ordering come in any order. Default true. */
  readonly shuffled?: boolean;
  /** Share of deliveries that come once more though nothing failed, 0 to 1. Default 0.01. */
  readonly duplicateShare?: number;
  /** Multiplies the waits before a redelivery, and nothing else: no deadline, no retention. Default 1. */
  readonly backoffFactor?: number;
  /** What goes wrong from the start. Default nothing. */
  readonly disturbances?: readonly Disturbance[];
}

/** A running Pub/Sub. */
export interface LocalPubsub {
  /** `127.0.0.1:PORT`, the value of `PUBSUB_EMULATOR_HOST`. */
  readonly host: string;
  /** What is in it. */
  readonly view: PubsubView;
  /** What goes wrong with requests. */
  readonly disturbances: Disturbances;
  /** What the callers may do. */
  readonly permissions: Permissions;
  /** Requests that have arrived for a method such as `Publish`, refused ones included. */
  requests(method: string): number;
  /** Ends all streams with UNAVAILABLE, as the product does now and then. */
  endStreams(): void;
  /** Ends everything under way, pushes included; resolves when the port is free. */
  close(): Promise<void>;
}

/**
 * Starts a Pub/Sub on the loopback interface that the real client library talks to. Nothing is in
 * it yet and nothing is kept on disk. It refuses what the product refuses; what it does not do
 * (exactly-once delivery, schemas, transforms, exports, detaching, keeping IAM policies) it answers
 * with UNIMPLEMENTED. @throws Error where the port is taken
 */
export async function startPubsub(options: PubsubOptions = {}): Promise<LocalPubsub> {
  const clock = options.clock ?? systemClock;
  const broker = new Broker({
    clock,
    random: seededRandom(options.seed ?? 1),
    habits: {
      shuffled: options.shuffled ?? true,
      duplicateShare: options.duplicateShare ?? 0.01,
      backoffFactor: options.backoffFactor ?? 1,
    },
  });
  const gates = new Gates(clock);
  gates.disturbances.add(...(options.disturbances ?? []));
  const endings = new Set<() => void>();
  const endStreams = (): void => {
    for (const end of [...endings]) end();
  };
  const server = newServer();
  addServices(server, broker, gates, endings);
  const port = await listen(server, options.port ?? 0);
  return {
    host: `127.0.0.1:${port}`,
    view: new PubsubView(broker),
    disturbances: gates.disturbances,
    permissions: gates.permissions,
    requests: (method) => gates.requests(method),
    endStreams,
    close: async () => {
      broker.close();
      await shutDown(server);
    },
  };
}

function addServices(server: Server, broker: Broker, gates: Gates, endings: Set<() => void>): void {
  const services = loadServices();
  const exists = (resource: string): boolean =>
    broker.topics.has(resource) || broker.subscriptions.has(resource);
  server.addService(services.publisher, implementation(gates.around(publisherMethods(broker))));
  server.addService(services.subscriber, {
    ...implementation(gates.around(subscriberMethods(broker))),
    StreamingPull: streamingPull(broker, gates, endings),
  });
  server.addService(
    services.iamPolicy,
    implementation(gates.around(gates.permissions.methods(exists))),
  );
}

function streamingPull(broker: Broker, gates: Gates, endings: Set<() => void>): UntypedHandleCall {
  return streaming<WireStreamingPullRequest, WireStreamingPullResponse>((peer) => {
    const pull = new StreamingPull(broker, peer);
    const end = (): void => {
      peer.fail(new Refusal('UNAVAILABLE', 'The stream is reassigned'));
    };
    let admitted = false;
    endings.add(end);
    return {
      receive: (request) => {
        if (!admitted) gates.admitStream('StreamingPull', request);
        admitted = true;
        pull.receive(request);
      },
      end: () => {
        endings.delete(end);
        pull.end();
      },
    };
  });
}
