import { PubSub, type Topic } from '@google-cloud/pubsub';

import { encodeEvent } from '../functions/contract/codec.ts';
import type { MirrorEvent } from '../functions/contract/event.ts';
import { Fault, printable } from '../functions/fault.ts';
import { refuseOption } from '../functions/options/option.ts';
import type { Logger } from '../functions/telemetry/logger.ts';
import type { Lane } from './publish-queue.ts';

/** Where events go. */
export interface EventPublisher {
  /**
   * Publishes and waits until the broker has accepted; one outcome an event, in their order:
   * nothing, or the fault (`PUBLISH_FAILED`, `EVENT_TOO_LARGE`). Never rejects.
   */
  publish(lane: Lane, events: readonly MirrorEvent[]): Promise<readonly (Fault | undefined)[]>;
  /**
   * Asks whether the credentials may publish to both topics.
   * @returns a sentence for each topic where they may not, with topic and principal
   */
  missingPermissions(): Promise<readonly string[]>;
  close(): Promise<void>;
}

/** Topics as ids or full names. */
export interface PublisherOptions {
  readonly project: string | undefined;
  readonly topic: string;
  readonly bulkTopic: string;
}

/** The permission of roles/pubsub.publisher. */
const PERMISSION = 'pubsub.topics.publish';
/** Most events a request; the client library itself splits a request that would grow over 9 MiB. */
export const MAX_BATCH = 100;
/** Longest a request may take. Publishing takes some 50 ms; retrying is the queue's own part. */
const TIMEOUT_MS = 20_000;
/** The client library's own retries are off: there is one layer of them, the queue's. */
const CALL = { timeout: TIMEOUT_MS, retry: { retryCodes: [] } };
/** gRPC status codes. */
const NOT_FOUND = 5;

/**
 * Finds the project where none is named: that of the events topic's full name, else that of the
 * credentials.
 * @throws Fault `OPTION_INVALID` when neither names one
 */
export async function connectPublisher(options: PublisherOptions): Promise<EventPublisher> {
  const named = options.project ?? /^projects\/([^/]+)\//.exec(options.topic)?.[1];
  return createPublisher({ ...options, project: named ?? (await detectedProject()) });
}

async function detectedProject(): Promise<string> {
  const client = new PubSub();
  try {
    return await client.auth.getProjectId();
  } catch {
    return refuseOption('--project', 'is not set, and the credentials name none');
  } finally {
    await client.close();
  }
}

/** The real Pub/Sub client; `PUBSUB_EMULATOR_HOST` names an emulator. One for the whole process. */
export function createPublisher(options: PublisherOptions): EventPublisher {
  const client = new PubSub(options.project === undefined ? {} : { projectId: options.project });
  const settings = {
    // One flush a batch: nothing waits for company.
    batching: { maxMessages: MAX_BATCH, maxMilliseconds: 0, maxBytes: 9 * 1024 * 1024 },
    gaxOpts: CALL,
  };
  const topics: Readonly<Record<Lane, Topic>> = {
    events: client.topic(options.topic, settings),
    bulk: client.topic(options.bulkTopic, settings),
  };

  async function missingAt(topic: Topic): Promise<string | undefined> {
    try {
      const [granted] = await topic.iam.testPermissions([PERMISSION]);
      if (granted[PERMISSION] === true) return undefined;
    } catch (error) {
      // An emulator has no IAM, and a network that is away will be told by the first publish.
      if (statusOf(error) !== NOT_FOUND) return undefined;
    }
    const who = await principal(client);
    return `${who} lacks ${PERMISSION} (roles/pubsub.publisher) on ${topic.name}, or the topic does not exist`;
  }

  return {
    async publish(lane, events) {
      return Promise.all(events.map((event) => publishOne(topics[lane], event)));
    },
    async missingPermissions() {
      const missing = await Promise.all(Object.values(topics).map(missingAt));
      return missing.filter((sentence) => sentence !== undefined);
    },
    close: () => client.close(),
  };
}

async function publishOne(topic: Topic, event: MirrorEvent): Promise<Fault | undefined> {
  try {
    const { attributes, data } = encodeEvent(event);
    await topic.publishMessage({ attributes, data });
    return undefined;
  } catch (error) {
    return error instanceof Fault ? error : publishFault(topic, error);
  }
}

function publishFault(topic: Topic, error: unknown): Fault {
  const status = statusOf(error);
  const message = error instanceof Error ? error.message : String(error);
  return new Fault('PUBLISH_FAILED', `cannot publish to ${topic.name}: ${printable(message)}`, {
    operation: 'publish event',
    ...(status === undefined ? {} : { status }),
  });
}

function statusOf(error: unknown): number | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'number'
    ? error.code
    : undefined;
}

/** Whom the permission is to be granted to. */
async function principal(client: PubSub): Promise<string> {
  try {
    const { client_email: email } = await client.auth.getCredentials();
    if (email !== undefined) return email;
  } catch {
    // The credentials name nobody (workload identity federation): the words below do.
  }
  return "the bridge's identity";
}

/** Says what would be published, and publishes nothing. */
export function dryRunPublisher(logger: Logger): EventPublisher {
  return {
    publish(lane, events) {
      for (const { subject, data, id } of events) {
        const { namespace, name } = data.imageRepository;
        const { reason, revision } = data;
        const fields = { namespace, name, lane, reason, revision, eventId: id };
        logger.info(`would publish ${reason} of ${subject}`, fields);
      }
      return Promise.resolve(events.map(() => undefined));
    },
    missingPermissions: () => Promise.resolve([]),
    close: () => Promise.resolve(),
  };
}
