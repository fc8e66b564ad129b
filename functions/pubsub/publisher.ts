import type { PubSub, Topic } from '@google-cloud/pubsub';

import { encodeEvent, type EncodedEvent } from '../contract/codec.ts';
import type { MirrorEvent } from '../contract/event.ts';
import { errorText, MirrorError, printable } from '../errors.ts';
import { CALL_TIMEOUT_MS, codeOf, type QueueClient } from './client.ts';

/** Sends messages that must not get lost: it returns when the broker has them. */
export interface Publisher {
  /** @throws MirrorError `PUBLISH_FAILED`, `CREDENTIALS_UNAVAILABLE`: the message may or may not be there */
  publish(message: EncodedEvent): Promise<unknown>;
}

/** A publisher to a topic of Pub/Sub, of many messages at once too. */
export interface TopicPublisher extends Publisher {
  /** @returns the message's id, which its readers see too */
  publish(message: EncodedEvent): Promise<string>;
  /**
   * Sends messages in one request for each 100, and waits until the broker has accepted them.
   * @returns one outcome a message, in their order: nothing, or the fault. Never rejects.
   */
  publishEach(messages: readonly EncodedEvent[]): Promise<readonly (MirrorError | undefined)[]>;
}

/** How a topic is published to. */
export interface TopicOptions {
  /**
   * Whether the library repeats what was refused, within the time of one call. Default true; false
   * where the caller repeats.
   */
  readonly repeats?: boolean;
}

/** Most messages a request; the library itself splits a request that would grow over 9 MiB. */
export const MAX_BATCH = 100;
/** Below Pub/Sub's limit of 10 MB a request. */
const MAX_BATCH_BYTES = 9 * 1024 * 1024;

/** A publisher to one topic, by its id or full name. */
export function topicPublisher(
  client: QueueClient,
  topicName: string,
  options: TopicOptions = {},
): TopicPublisher {
  const settings = {
    // One flush a batch: nothing waits for company.
    batching: { maxMessages: MAX_BATCH, maxMilliseconds: 0, maxBytes: MAX_BATCH_BYTES },
    gaxOpts: {
      timeout: CALL_TIMEOUT_MS,
      ...(options.repeats === false ? { retry: { retryCodes: [] } } : {}),
    },
  };
  const topics = new WeakMap<PubSub, Topic>();
  function topicOf(pubsub: PubSub): Topic {
    const topic = topics.get(pubsub) ?? pubsub.topic(topicName, settings);
    topics.set(pubsub, topic);
    return topic;
  }

  /** The id of each message, or why it has none. */
  async function send(
    messages: readonly EncodedEvent[],
  ): Promise<readonly (string | MirrorError)[]> {
    try {
      const { pubsub, inTime, ended } = await client.open();
      const topic = topicOf(pubsub);
      const sending = messages.map(({ attributes, data }) =>
        topic.publishMessage({ data, attributes: { ...attributes } }),
      );
      let results: readonly PromiseSettledResult<string>[];
      try {
        results = await inTime(Promise.allSettled(sending));
      } catch (error) {
        // One request has one answer: which of them came too late to be heard of nobody knows.
        ended(error);
        throw error;
      }
      const failed = results.find((result) => result.status === 'rejected');
      ended(failed?.reason);
      return results.map((result) =>
        result.status === 'rejected' ? publishError(result.reason, topic.name) : result.value,
      );
    } catch (error) {
      const fault = error instanceof MirrorError ? error : publishError(error, topicName);
      return messages.map(() => fault);
    }
  }

  return {
    async publishEach(messages) {
      const outcomes = await send(messages);
      return outcomes.map((outcome) => (outcome instanceof MirrorError ? outcome : undefined));
    },
    async publish(message) {
      const [outcome = ''] = await send([message]);
      if (outcome instanceof MirrorError) throw outcome;
      return outcome;
    },
  };
}

/**
 * Publishes events side by side.
 * @throws MirrorError `PUBLISH_FAILED` when any failed, after all have ended; `EVENT_TOO_LARGE`
 */
export async function publishAll(
  publisher: Publisher,
  events: readonly MirrorEvent[],
): Promise<void> {
  const messages = events.map(encodeEvent);
  const results = await Promise.allSettled(messages.map((message) => publisher.publish(message)));
  const failed = results.find((result) => result.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}

/** Only the text of a client's error: gax keeps the call's metadata, credentials too, in it. */
function publishError(error: unknown, topicName: string): MirrorError {
  const status = codeOf(error);
  return new MirrorError(
    'PUBLISH_FAILED',
    `publish to ${topicName}: ${printable(errorText(error))}`,
    {
      operation: 'publish event',
      status,
    },
  );
}
