import type { Topic } from '@google-cloud/pubsub';

import { encodeEvent, type EncodedEvent } from '../../contract/codec.ts';
import type { MirrorEvent } from '../../contract/event.ts';
import { Fault } from '../../fault.ts';
import type { QueueClient } from './client.ts';

/** Sends messages that must not get lost: it returns when the broker has them. */
export interface Publisher {
  /** @throws Fault `PUBLISH_FAILED`: the message may or may not be there */
  publish(message: EncodedEvent): Promise<void>;
}

/**
 * How long a publish may take, retries included: the answer to a push must still fit within the
 * last minute before the acknowledgement deadline (600 s; the deliveries' own is 540 s).
 */
const PUBLISH_TIMEOUT_MS = 20_000;

/** A publisher to one topic, by its id or full name. */
export function topicPublisher(client: QueueClient, topicName: string): Publisher {
  let topic: Promise<Topic> | undefined;
  const open = async (): Promise<Topic> => {
    const pubsub = await client.get();
    return pubsub.topic(topicName, { gaxOpts: { timeout: PUBLISH_TIMEOUT_MS } });
  };
  return {
    publish: async ({ attributes, data }) => {
      try {
        topic ??= open();
        const opened = await topic;
        await inTime(opened.publishMessage({ data, attributes: { ...attributes } }));
      } catch (error) {
        throw publishFault(error, topicName);
      }
    },
  };
}

/**
 * Publishes events side by side.
 * @throws Fault `PUBLISH_FAILED` when any failed, after all have ended; `EVENT_TOO_LARGE`
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

/** The client keeps on trying where nobody answers; the answer to a push cannot wait for that. */
async function inTime(published: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`no answer in ${PUBLISH_TIMEOUT_MS} ms`));
    }, PUBLISH_TIMEOUT_MS);
  });
  try {
    await Promise.race([published, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Only the text of a client's error: gax keeps the call's metadata, credentials too, in it. */
function publishFault(error: unknown, topicName: string): Fault {
  const text = error instanceof Error ? error.message : String(error);
  return new Fault('PUBLISH_FAILED', `publish to ${topicName}: ${text}`, {
    operation: 'publish event',
  });
}
