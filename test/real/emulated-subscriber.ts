import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';

import { PubSub } from '@google-cloud/pubsub';

import { encodeEvent, type EncodedEvent } from '../../functions/contract/codec.ts';
import type { MirrorEvent, MirrorRequest } from '../../functions/contract/event.ts';
import type { LogLine } from '../stand-ins/child.ts';
import { createLanes, TOPICS } from '../stand-ins/pubsub/lanes.ts';
import { startRunFront, type RunFront } from '../stand-ins/cloud-run/front.ts';
import { startInstanceProcess } from '../stand-ins/cloud-run/instance.ts';
import { verifyRepository } from '../stand-ins/verifier/verifier.ts';
import { sampleEvent } from '../functions/subscriber/samples.ts';
import { startRegistries, tagsOf, type Registries } from '../functions/registries.ts';
import type { PubsubEmulator } from './servers/pubsub-emulator.ts';

// Nothing of Google Cloud is to be looked for.
process.env['METADATA_SERVER_DETECTION'] = 'none';

const PROJECT = 'real-subscriber';

/** What a job left behind. */
export interface JobEnded {
  readonly code: number | null;
  readonly lines: readonly LogLine[];
}

/** The subscriber as a service of one instance behind the emulator's push, with both lanes. */
export interface EmulatedSubscriber {
  readonly registries: Registries;
  readonly admin: PubSub;
  /** Lines of entry `event` about a repository, with these fields. */
  readonly eventLines: (
    repository: string,
    fields?: Readonly<Record<string, unknown>>,
  ) => readonly LogLine[];
  readonly event: (repository: string, data?: Partial<MirrorRequest>, time?: Date) => MirrorEvent;
  readonly publish: (message: MirrorEvent | EncodedEvent, topic?: string) => Promise<void>;
  /** A topic with a pull subscription of its name. */
  readonly pullTopic: (name: string) => Promise<void>;
  /** Messages that a pull subscription has now; they are acknowledged. */
  readonly take: (subscription: string) => Promise<readonly EncodedEvent[]>;
  /** Waits until so many messages about a repository came to the dead-letter topic. */
  readonly deadLetters: (repository: string, count: number) => Promise<readonly EncodedEvent[]>;
  /** Runs the job to its end. */
  readonly job: (args: readonly string[]) => Promise<JobEnded>;
  /** Waits until the destination has exactly the source's tags, then reads every byte of them. */
  readonly mirrored: (repository: string) => Promise<void>;
  /** Manifests that were put to a repository of the destination. */
  readonly manifestPuts: (repository: string) => number;
  readonly close: () => Promise<void>;
}

/** Reads all dead letters, beside the subscription that a drain empties. */
const WATCH = 'dead-letter-watch';

/** Starts it. A delivery has 8 s, three tags are a batch, five attempts are the end. */
export async function startEmulatedSubscriber(
  emulator: PubsubEmulator,
): Promise<EmulatedSubscriber> {
  const registries = await startRegistries({ seeded: false });
  const lines: LogLine[] = [];
  const letters: EncodedEvent[] = [];
  const { source, destination } = registries;
  const common = {
    LOCAL: 'true',
    DESTINATION_REGISTRY: `${destination.host}/m`,
    DESTINATION_LAYOUT: 'path',
    DEAD_LETTER_TOPIC: TOPICS.deadLetter,
    GOOGLE_CLOUD_PROJECT: PROJECT,
    PUBSUB_EMULATOR_HOST: emulator.host,
    METADATA_SERVER_DETECTION: 'none',
    TAG_WORKERS: '1',
  };
  const front: RunFront = await startRunFront({
    start: async () =>
      startInstanceProcess({
        command: ['functions/serve.ts'],
        env: { ...common, BATCH_TAGS: '3', DEADLINE_SECONDS: '8', BULK_TOPIC: TOPICS.bulk },
        onLine: (line) => lines.push(line),
      }),
    concurrency: 8,
  });
  await createLanes({
    host: emulator.host,
    projectId: PROJECT,
    eventsEndpoint: front.url,
    bulkEndpoint: front.url,
    minimumBackoffSeconds: 1,
    maximumBackoffSeconds: 2,
    maxDeliveryAttempts: 5,
  });
  const admin = new PubSub({ apiEndpoint: emulator.host, projectId: PROJECT, emulatorMode: true });
  await admin.createSubscription(TOPICS.deadLetter, WATCH);

  /** By REST, since the client's streams hold messages that a test has not asked for. */
  async function ask(path: string, body: object): Promise<unknown> {
    const response = await fetch(`${emulator.url}/projects/${PROJECT}/subscriptions/${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    assert.equal(response.status, 200);
    return response.json();
  }

  async function take(subscription: string): Promise<readonly EncodedEvent[]> {
    const { receivedMessages = [] } = (await ask(`${subscription}:pull`, {
      maxMessages: 100,
      returnImmediately: true,
    })) as { receivedMessages?: readonly Received[] };
    if (receivedMessages.length === 0) return [];
    const ackIds = receivedMessages.map(({ ackId }) => ackId);
    await ask(`${subscription}:acknowledge`, { ackIds });
    return receivedMessages.map(({ message: { attributes = {}, data = '' } }) => ({
      attributes,
      data: Buffer.from(data, 'base64'),
    }));
  }

  const imageOf = (repository: string): string => `${source.host}/${repository}`;
  return {
    registries,
    admin,
    take,
    eventLines: (repository, fields = {}) =>
      lines.filter(
        (line) =>
          line['entry'] === 'event' &&
          line['image'] === imageOf(repository) &&
          Object.entries(fields).every(([name, value]) => line[name] === value),
      ),
    event: (repository, data = {}, time = new Date()) =>
      sampleEvent(
        {
          imageRepository: { namespace: 'n', name: 'x', uid: repository },
          image: imageOf(repository),
          tagCount: 1,
          scanTime: time.toISOString(),
          ...data,
        },
        time.toISOString(),
      ),
    publish: async (message, topic = TOPICS.events) => {
      const { attributes, data } = 'attributes' in message ? message : encodeEvent(message);
      await admin.topic(topic).publishMessage({ attributes: { ...attributes }, data });
    },
    pullTopic: async (name) => {
      await admin.createTopic(name);
      await admin.createSubscription(name, name);
    },
    deadLetters: async (repository, count) => {
      for (;;) {
        letters.push(...(await take(WATCH)));
        const own = letters.filter(({ data }) => data.includes(`"${imageOf(repository)}"`));
        if (own.length >= count) return own;
        await delay(100);
      }
    },
    job: async (args) => {
      const child = spawn(process.execPath, ['functions/job.ts', ...args, '--drain-idle=2s'], {
        stdio: ['ignore', 'pipe', 'inherit'],
        env: { PATH: process.env['PATH'], CLOUD_RUN_JOB: 'mirror', ...common },
      });
      const written: LogLine[] = [];
      createInterface({ input: child.stdout }).on('line', (raw) => {
        written.push(JSON.parse(raw) as LogLine);
      });
      const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
      return { code, lines: written };
    },
    mirrored: async (repository) => {
      const wanted = JSON.stringify(tagsOf(source, repository));
      while (JSON.stringify(tagsOf(destination, `m/${repository}`)) !== wanted) await delay(50);
      const read = await verifyRepository({ url: destination.url, repository: `m/${repository}` });
      assert.deepEqual(read.problems, []);
    },
    manifestPuts: (repository) =>
      destination.counter.count({
        method: 'PUT',
        kind: 'manifest',
        path: new RegExp(`/m/${repository}/manifests/`),
      }),
    close: async () => {
      await admin.close();
      await front.close();
      await registries.close();
    },
  };
}

/** A message as the REST API gives it. */
interface Received {
  readonly ackId: string;
  readonly message: { readonly attributes?: Record<string, string>; readonly data?: string };
}
