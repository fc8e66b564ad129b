import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';

import { ANONYMOUS } from '../../functions/auth/credentials.ts';
import type { Timing } from '../../functions/concurrency.ts';
import { BlobCopier } from '../../functions/mirror/copy-blob.ts';
import { ReferrersSupport } from '../../functions/mirror/referrers-support.ts';
import { PresenceCache } from '../../functions/mirror/presence-cache.ts';
import { mirrorRepository } from '../../functions/mirror/mirror-repository.ts';
import { MIRROR_OPTIONS } from '../mirror-options.ts';
import { TagTurns } from '../../functions/mirror/tag-turns.ts';
import type { QueueClient } from '../../functions/pubsub/client.ts';
import { topicPublisher } from '../../functions/pubsub/publisher.ts';
import { createRegistries } from '../../functions/registry/registries.ts';
import type { AdmissionRules } from '../../functions/subscriber/admission.ts';
import { processEnd } from '../../functions/subscriber/delivery-deadline.ts';
import { createSubscriber, type Subscriber } from '../../functions/subscriber/subscriber.ts';
import type { DoWork } from '../../functions/subscriber/execute-event.ts';
import type { Logger } from '../../functions/telemetry/logger.ts';
import { TOPICS } from '../stand-ins/pubsub/lanes.ts';

/** `DEADLINE_SECONDS` of the deployment. */
const DEADLINE_MS = 540_000;

/** The engine of an instance: its registries and what they taught it live as long as it does. */
export interface Instance {
  readonly doWork: DoWork;
  readonly rules: AdmissionRules;
  close(): void;
}

/** What an instance is made of. */
export interface InstanceOptions {
  /** `HOST:PORT` of both registries, as the instance reaches them. */
  readonly source: string;
  readonly destination: string;
  readonly timing: Timing;
  /** Longest wait for a registry, by the machine's own time. */
  readonly idleMs: number;
}

/** Makes an engine. */
export function openInstance({ source, destination, timing, idleMs }: InstanceOptions): Instance {
  const clock = (): number => timing.now();
  const registries = createRegistries({
    credentials: () => ANONYMOUS,
    isGoogle: () => false,
    privateHosts: [source, destination],
    loopback: true,
    timing,
    idleMs,
  });
  const parts = {
    pool: new BlobCopier({ presence: new PresenceCache(clock), timing }),
    referrersSupport: new ReferrersSupport(),
    tagTurns: new TagTurns(clock),
    clock,
  };
  return {
    rules: {
      destinationRegistry: `${destination}/m`,
      destinationLayout: 'path',
      allowedSources: [],
      allowedDestinations: [],
      insecureSources: [],
    },
    doWork: async ({ event, admission, deadline, observer, signal }) =>
      mirrorRepository(
        event.data,
        {
          ...parts,
          source: registries.source(admission.source, {
            deadlineAtMs: deadline.endsAtMs,
            insecure: true,
          }),
          destination: registries.destination(
            { host: destination, path: admission.destinationPath },
            { deadlineAtMs: deadline.endsAtMs, insecure: true },
          ),
          deadline,
          ...(observer === undefined ? {} : { observer }),
        },
        MIRROR_OPTIONS,
        signal,
      ),
    close: () => {
      registries.close();
    },
  };
}

/** The Cloud Run service as Pub/Sub sees it. */
export interface PathService {
  readonly url: string;
  /** Deliveries so far. */
  readonly deliveries: number;
  /** Ends what is under way, as SIGTERM does, and resolves when it has ended. */
  close(): Promise<void>;
}

/** Serves an instance; `wrap` puts something in the place of the subscriber. */
export async function startService(
  instance: Instance,
  queue: QueueClient,
  { timing, logger }: { readonly timing: Timing; readonly logger: Logger },
  wrap: (subscriber: Subscriber) => Subscriber = (subscriber) => subscriber,
  deadlineMs = DEADLINE_MS,
): Promise<PathService> {
  const end = processEnd(() => timing.now());
  const subscriber = wrap(
    createSubscriber({
      verification: MIRROR_OPTIONS,
      rules: instance.rules,
      limits: { batchTags: 100, jobThresholdBytes: -1, deadlineMs },
      acceptFluxEvents: false,
      projectId: undefined,
      doWork: instance.doWork,
      bulk: topicPublisher(queue, TOPICS.bulk),
      deadLetters: topicPublisher(queue, TOPICS.deadLetter),
      flush: () => Promise.resolve(),
      end,
      logger,
      timing,
    }),
  );
  const underWay = new Set<Promise<void>>();
  let deliveries = 0;
  const server = createServer((request, response) => {
    const handled = json(request)
      .then(async (body) => {
        deliveries += 1;
        await subscriber.handle(body, { arrivedAtMs: timing.now() });
      })
      .then(
        () => void response.writeHead(204).end(),
        () => void response.writeHead(500).end(),
      )
      .finally(() => underWay.delete(handled));
    underWay.add(handled);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get deliveries() {
      return deliveries;
    },
    close: async () => {
      end.tell();
      server.close();
      server.closeAllConnections();
      await Promise.all(underWay);
      instance.close();
    },
  };
}
