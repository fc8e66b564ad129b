import { encodeEvent, type EncodedEvent } from '../functions/contract/codec.ts';
import type { MirrorEvent } from '../functions/contract/event.ts';
import { MirrorError, isMirrorError } from '../functions/errors.ts';
import {
  codeOf,
  projectOf,
  queueClient,
  type QueueClientOptions,
} from '../functions/pubsub/client.ts';
import { MAX_BATCH, topicPublisher } from '../functions/pubsub/publisher.ts';
import type { Logger } from '../functions/telemetry/logger.ts';
import type { Lane } from './publish-queue.ts';

export { MAX_BATCH };

/** Where events go. */
export interface EventPublisher {
  /**
   * Publishes and waits until the broker has accepted; one outcome an event, in their order:
   * nothing, or the fault (`PUBLISH_FAILED`, `CREDENTIALS_UNAVAILABLE`, `EVENT_TOO_LARGE`). Never
   * rejects.
   */
  publish(
    lane: Lane,
    events: readonly MirrorEvent[],
  ): Promise<readonly (MirrorError | undefined)[]>;
  /** Publishes one message as it is; nothing, or the fault. Never rejects. */
  publishMessage(lane: Lane, message: EncodedEvent): Promise<MirrorError | undefined>;
  /**
   * Asks whether the credentials may publish to the topics of these lanes.
   * @param lanes default both
   * @returns a sentence for each topic where they may not, with topic and principal
   * @throws MirrorError `CREDENTIALS_UNAVAILABLE`
   */
  missingPermissions(lanes?: readonly Lane[]): Promise<readonly string[]>;
  close(): Promise<void>;
}

/** Topics as ids or full names. */
export interface PublisherOptions extends QueueClientOptions {
  readonly project: string | undefined;
  readonly topic: string;
  readonly bulkTopic: string;
}

/** The permission of roles/pubsub.publisher. */
const PERMISSION = 'pubsub.topics.publish';
/** Where the credentials name nobody. */
const NOBODY = "the bridge's identity";
/** gRPC status codes. */
const NOT_FOUND = 5;

/**
 * A publisher to both lanes; `PUBSUB_EMULATOR_HOST` names an emulator. Topics without a project are
 * of the one named, else of that of the events topic's full name, else of that of the credentials.
 */
export function createPublisher(options: PublisherOptions): EventPublisher {
  const named = options.project ?? projectOf(options.topic);
  const client = queueClient(named, options);
  const names: Readonly<Record<Lane, string>> = { events: options.topic, bulk: options.bulkTopic };
  // There is one layer of repeating, the queue's.
  const topics = {
    events: topicPublisher(client, names.events, { repeats: false }),
    bulk: topicPublisher(client, names.bulk, { repeats: false }),
  };

  async function missingAt(topicName: string): Promise<string | undefined> {
    const { pubsub, inTime, ended } = await client.open();
    const topic = pubsub.topic(topicName);
    try {
      const [granted] = await inTime(topic.iam.testPermissions([PERMISSION]));
      ended(undefined);
      if (granted[PERMISSION] === true) return undefined;
    } catch (error) {
      ended(error);
      // An emulator has no IAM, and a network that is away will be told by the first publish.
      if (codeOf(error) !== NOT_FOUND) return undefined;
    }
    const who = await inTime(principal(pubsub.auth)).catch(() => NOBODY);
    return `${who} lacks ${PERMISSION} (roles/pubsub.publisher) on ${topic.name}, or the topic does not exist`;
  }

  return {
    async publish(lane, events) {
      const encoded = events.map(messageOf);
      const messages = encoded.filter((each): each is EncodedEvent => !isMirrorError(each));
      const outcomes = [...(messages.length === 0 ? [] : await topics[lane].publishEach(messages))];
      return encoded.map((each) => (isMirrorError(each) ? each : outcomes.shift()));
    },
    async publishMessage(lane, message) {
      const [fault] = await topics[lane].publishEach([message]);
      return fault;
    },
    async missingPermissions(lanes = ['events', 'bulk']) {
      const missing = await Promise.all(lanes.map((lane) => missingAt(names[lane])));
      return missing.filter((sentence) => sentence !== undefined);
    },
    close: () => client.close(),
  };
}

/** The message of an event, or why it can be none. */
function messageOf(event: MirrorEvent): EncodedEvent | MirrorError {
  try {
    return encodeEvent(event);
  } catch (error) {
    if (error instanceof MirrorError) return error;
    throw error;
  }
}

/** Whom the permission is to be granted to. */
async function principal(auth: {
  getCredentials(): Promise<{ readonly client_email?: string }>;
}): Promise<string> {
  try {
    const { client_email: email } = await auth.getCredentials();
    if (email !== undefined) return email;
  } catch {
    // The credentials name nobody (workload identity federation): the words below do.
  }
  return NOBODY;
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
    publishMessage: () => Promise.resolve(undefined),
    missingPermissions: () => Promise.resolve([]),
    close: () => Promise.resolve(),
  };
}
