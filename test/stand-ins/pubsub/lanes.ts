import { PubSub, type CreateSubscriptionOptions } from '@google-cloud/pubsub';

/** Where the lanes are made and how they deliver. */
export interface LanesOptions {
  /** `HOST:PORT` of a stand-in or of Google's emulator. */
  readonly host: string;
  readonly projectId: string;
  /** URL that live events are pushed to. */
  readonly eventsEndpoint: string;
  /** URL that bulk events are pushed to. */
  readonly bulkEndpoint: string;
  /** Shortest wait before a redelivery, in seconds, 0 to 600; default 10. */
  readonly minimumBackoffSeconds?: number;
  /** Longest wait before a redelivery, in seconds, 0 to 600; default 600. */
  readonly maximumBackoffSeconds?: number;
  /** Deliveries before a message goes to the dead-letter topic, 5 to 100; default 100. */
  readonly maxDeliveryAttempts?: number;
}

/** Names of the topics, each with a subscription of the same name. */
export const TOPICS = { events: 'events', bulk: 'bulk', deadLetter: 'dead-letter' } as const;

/** Ack deadline of the push subscriptions, the longest there is: it is the time one delivery has. */
const PUSH_ACK_DEADLINE_SECONDS = 600;

/** Pub/Sub's retention of a topic, by default as long as a subscription's own. */
const RETENTION_SECONDS = 7 * 24 * 3_600;

/**
 * Makes the topics `events`, `bulk` and `dead-letter` with retention, push subscriptions of the
 * first two (unwrapped with metadata, retried with back-off, dead-lettered) and a pull subscription
 * of the third; what is there already stays as it is. Talks plain gRPC without credentials, so only
 * ever to a server on this machine.
 */
export async function createLanes(options: LanesOptions): Promise<void> {
  const pubsub = new PubSub({
    apiEndpoint: options.host,
    projectId: options.projectId,
    emulatorMode: true,
  });
  try {
    const retention = {
      messageRetentionDuration: { seconds: RETENTION_SECONDS },
    };
    for (const name of [TOPICS.deadLetter, TOPICS.events, TOPICS.bulk]) {
      await unlessThere(pubsub.createTopic({ name, ...retention }));
    }
    const lanes = [
      [TOPICS.events, options.eventsEndpoint],
      [TOPICS.bulk, options.bulkEndpoint],
    ] as const;
    for (const [name, endpoint] of lanes) {
      await unlessThere(pubsub.createSubscription(name, name, pushOptions(endpoint, options)));
    }
    // The ttl is unset: a subscription that nobody reads for a month must not go with its messages.
    await unlessThere(
      pubsub.createSubscription(TOPICS.deadLetter, TOPICS.deadLetter, { expirationPolicy: {} }),
    );
  } finally {
    await pubsub.close();
  }
}

function pushOptions(endpoint: string, options: LanesOptions): CreateSubscriptionOptions {
  return {
    pushConfig: { pushEndpoint: endpoint, noWrapper: { writeMetadata: true } },
    ackDeadlineSeconds: PUSH_ACK_DEADLINE_SECONDS,
    expirationPolicy: {},
    retryPolicy: {
      minimumBackoff: { seconds: options.minimumBackoffSeconds ?? 10 },
      maximumBackoff: { seconds: options.maximumBackoffSeconds ?? 600 },
    },
    deadLetterPolicy: {
      deadLetterTopic: `projects/${options.projectId}/topics/${TOPICS.deadLetter}`,
      maxDeliveryAttempts: options.maxDeliveryAttempts ?? 100,
    },
  };
}

/** gRPC's ALREADY_EXISTS. */
const ALREADY_EXISTS = 6;

async function unlessThere(creation: Promise<unknown>): Promise<void> {
  try {
    await creation;
  } catch (error) {
    if ((error as { readonly code?: unknown }).code !== ALREADY_EXISTS) throw error;
  }
}
