import assert from 'node:assert/strict';
import { it } from 'node:test';

import { PubSub } from '@google-cloud/pubsub';

import { encodeEvent, type EncodedEvent } from '../../functions/contract/codec.ts';
import type { MirrorEvent, MirrorRequest } from '../../functions/contract/event.ts';
import { freePort, type LogLine } from '../stand-ins/child.ts';
import { startPubsub, type LocalPubsub } from '../stand-ins/pubsub/server.ts';
import { createLanes, TOPICS } from '../stand-ins/pubsub/lanes.ts';
import { startRunFront, type RunFront } from '../stand-ins/cloud-run/front.ts';
import { startInstanceProcess } from '../stand-ins/cloud-run/instance.ts';
import { verifyRepository } from '../stand-ins/verifier/verifier.ts';
import { startRegistries, tagsOf, type Registries } from '../functions/registries.ts';
import { sampleEvent } from '../functions/subscriber/samples.ts';

// Nothing of Google is meant to be found on this machine.
process.env['METADATA_SERVER_DETECTION'] = 'none';

/** Project of all topics. */
export const PROJECT = 'flow';

/** Options of a deployment from source: the framework's own command line serves the function. */
export const FROM_SOURCE: DeploymentOptions = {
  command: [
    'node_modules/@google-cloud/functions-framework/build/src/main.js',
    '--target=mirror',
    '--source=functions/index.ts',
  ],
  givePort: true,
};

/** How the subscriber is deployed. */
export interface DeploymentOptions {
  /** Variables of the service beside the usual ones. */
  readonly env?: Readonly<Record<string, string>>;
  /** Program of an instance. Default `functions/serve.ts`. */
  readonly command?: readonly string[];
  /** Instances cannot choose a port and tell it: they are given a free one. Default false. */
  readonly givePort?: boolean;
  /** Per lane. Default 1. */
  readonly maxInstances?: number;
  /** Per instance. Default 4. */
  readonly concurrency?: number;
  /** Cloud Run's request timeout. Default 300 s. */
  readonly timeoutMs?: number;
  readonly duplicateShare?: number;
  /** Multiplies the waits before a redelivery. Default 0.01. */
  readonly backoffFactor?: number;
  readonly maxDeliveryAttempts?: number;
  readonly registries?: Parameters<typeof startRegistries>[0];
}

/** Pub/Sub, two lanes of the service, a source and a destination. */
export interface Deployment {
  readonly pubsub: LocalPubsub;
  readonly registries: Registries;
  readonly events: RunFront;
  readonly bulk: RunFront;
  /** Every structured line of every instance, in order. */
  readonly lines: readonly LogLine[];
  /** Everything that every instance wrote, line by line. */
  readonly output: readonly string[];
  readonly admin: PubSub;
  /** Publishes to a lane. Default `events`. */
  readonly publish: (message: MirrorEvent | EncodedEvent, topic?: string) => Promise<void>;
  /** Resolves when no message of either lane is undelivered or under way. */
  readonly settled: () => Promise<void>;
  /** Messages of the dead-letter topic. */
  readonly deadLetters: () => readonly {
    readonly attributes: Readonly<Record<string, string>>;
    readonly data: Uint8Array;
  }[];
  /** Event about a repository of the source. */
  readonly event: (repository: string, data?: Partial<MirrorRequest>, time?: Date) => MirrorEvent;
  /** Publishes an event about a repository, and waits until it is mirrored. */
  readonly mirror: (repository: string) => Promise<void>;
  /** Fails unless the destination has exactly the source's tags and every byte can be read. */
  readonly requireMirrored: (repository: string) => Promise<void>;
  /** Lines of entry `event`, with these fields. */
  readonly eventLines: (fields?: Readonly<Record<string, unknown>>) => readonly LogLine[];
  readonly close: () => Promise<void>;
}

/** Starts all of it. */
export async function deploy(options: DeploymentOptions = {}): Promise<Deployment> {
  const registries = await startRegistries({ seeded: false, ...options.registries });
  const pubsub = await startPubsub({
    duplicateShare: options.duplicateShare ?? 0,
    backoffFactor: options.backoffFactor ?? 0.01,
  });
  const lines: LogLine[] = [];
  const output: string[] = [];
  const env = {
    LOCAL: 'true',
    DESTINATION_REGISTRY: `${registries.destination.host}/m`,
    DESTINATION_LAYOUT: 'path',
    BULK_TOPIC: TOPICS.bulk,
    DEAD_LETTER_TOPIC: TOPICS.deadLetter,
    GOOGLE_CLOUD_PROJECT: PROJECT,
    PUBSUB_EMULATOR_HOST: pubsub.host,
    METADATA_SERVER_DETECTION: 'none',
    ...options.env,
  };
  const front = async (): Promise<RunFront> =>
    startRunFront({
      start: async () =>
        startInstanceProcess({
          command: options.command ?? ['functions/serve.ts'],
          env,
          ...(options.givePort === true ? { port: await freePort() } : {}),
          onLine: (line, raw) => {
            lines.push(line);
            output.push(raw);
          },
        }),
      maxInstances: options.maxInstances ?? 1,
      concurrency: options.concurrency ?? 4,
      ...(options.timeoutMs === undefined ? {} : { timeoutMs: options.timeoutMs }),
    });
  const [events, bulk] = [await front(), await front()];
  await createLanes({
    host: pubsub.host,
    projectId: PROJECT,
    eventsEndpoint: events.url,
    bulkEndpoint: bulk.url,
    ...(options.maxDeliveryAttempts === undefined
      ? {}
      : { maxDeliveryAttempts: options.maxDeliveryAttempts }),
  });
  const admin = new PubSub({ apiEndpoint: pubsub.host, projectId: PROJECT, emulatorMode: true });
  const { source, destination } = registries;
  const publish: Deployment['publish'] = async (message, topic = TOPICS.events) => {
    const { attributes, data } = 'attributes' in message ? message : encodeEvent(message);
    await admin.topic(topic).publishMessage({ attributes: { ...attributes }, data });
  };
  const settled = async (): Promise<void> => {
    await pubsub.view.until((view) =>
      [TOPICS.events, TOPICS.bulk].every((name) => {
        const lane = view.subscription(`projects/${PROJECT}/subscriptions/${name}`);
        return lane !== undefined && lane.undelivered + lane.outstanding === 0;
      }),
    );
  };
  const event: Deployment['event'] = (repository, data = {}, time = new Date()) =>
    sampleEvent(
      {
        imageRepository: { namespace: 'flux-system', name: 'x', uid: `uid ${repository}` },
        image: `${source.host}/${repository}`,
        tagCount: 1,
        scanTime: time.toISOString(),
        ...data,
      },
      time.toISOString(),
    );
  const requireMirrored = async (repository: string): Promise<void> => {
    assert.deepEqual(tagsOf(destination, `m/${repository}`), tagsOf(source, repository));
    const read = await verifyRepository({ url: destination.url, repository: `m/${repository}` });
    assert.deepEqual(read.problems, []);
  };
  return {
    pubsub,
    registries,
    events,
    bulk,
    lines,
    output,
    admin,
    publish,
    settled,
    deadLetters: () => pubsub.view.messages(`projects/${PROJECT}/topics/${TOPICS.deadLetter}`),
    event,
    mirror: async (repository) => {
      await publish(event(repository));
      await settled();
      await requireMirrored(repository);
    },
    requireMirrored,
    eventLines: (fields = {}) =>
      lines.filter(
        (line) =>
          line['entry'] === 'event' &&
          Object.entries(fields).every(([name, value]) => line[name] === value),
      ),
    close: async () => {
      await admin.close();
      await pubsub.close();
      await events.close();
      await bulk.close();
      await registries.close();
    },
  };
}

/** Variables of a job beside the service. */
export function jobEnvOf({ registries, pubsub }: Deployment): Readonly<Record<string, string>> {
  return {
    CLOUD_RUN_JOB: 'mirror',
    LOCAL: 'true',
    DESTINATION_REGISTRY: `${registries.destination.host}/m`,
    DESTINATION_LAYOUT: 'path',
    DEAD_LETTER_TOPIC: TOPICS.deadLetter,
    GOOGLE_CLOUD_PROJECT: PROJECT,
    PUBSUB_EMULATOR_HOST: pubsub.host,
    METADATA_SERVER_DETECTION: 'none',
  };
}

/** Messages of a subscription that are not acknowledged. */
export function left({ pubsub }: Deployment, name: string): number | undefined {
  const subscription = pubsub.view.subscription(`projects/${PROJECT}/subscriptions/${name}`);
  return subscription && subscription.undelivered + subscription.outstanding;
}

/** Works with a deployment of its own. */
export async function withDeployment(
  options: DeploymentOptions,
  work: (deployment: Deployment) => Promise<void>,
): Promise<void> {
  const deployment = await deploy(options);
  try {
    await work(deployment);
  } finally {
    await deployment.close();
  }
}

/** A test on a deployment of its own. */
export function deployed(
  name: string,
  options: DeploymentOptions,
  work: (deployment: Deployment) => Promise<void>,
  timeout = 90_000,
): void {
  it(name, { timeout }, async () => withDeployment(options, work));
}
