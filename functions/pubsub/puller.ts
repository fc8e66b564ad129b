import { setTimeout as delay } from 'node:timers/promises';

import type { Message, Subscription } from '@google-cloud/pubsub';

import type { EncodedEvent } from '../contract/codec.ts';
import { errorText, MirrorError, printable } from '../errors.ts';
import { codeOf, DEADLINE_EXCEEDED, type QueueClient } from './client.ts';

/** A pulled message, leased until it is settled. */
export interface PulledMessage extends EncodedEvent {
  readonly id: string;
  /** When the broker took it, by the broker's clock, milliseconds since 1970. */
  readonly publishedAtMs: number;
  /** It is done. */
  ack(): void;
  /** It is for another delivery. */
  nack(): void;
}

/** How a subscription is pulled. */
export interface PullOptions {
  /** Most messages that are leased at once. */
  readonly maxMessages: number;
  /** How long a lease is extended at most, in seconds: as long as the process may run. */
  readonly maxExtensionSeconds: number;
  readonly onMessage: (message: PulledMessage) => void;
  /** The pull failed for good: the subscription is not there, or must not be pulled. */
  readonly onFault: (fault: MirrorError) => void;
}

/** A subscription being pulled. */
export interface Puller {
  /** Whether as much is leased as may be: nothing more comes until something is settled. */
  readonly full: boolean;
  /** Pulls no more, and sends what was settled; what was not is handed back. */
  close(): Promise<void>;
}

/**
 * How long closing waits for settlements to be sent. The client keeps a timer of this length even
 * where it need not wait, which holds the process that long.
 */
const CLOSE_TIMEOUT_MS = 2000;

/**
 * A subscription is not closed earlier after its opening: the client leaks streams that are still
 * being opened, and messages with them.
 */
const OPENING_MS = 1000;

/**
 * How long a lease goes on that its process, killed, extends no more. The client's own bound is the
 * time that most of its acknowledgements took, up to 600 s.
 */
export const MAX_LEASE_SECONDS = 60;

/** Most bytes of data that are leased at once: the client's own default. */
const MAX_LEASED_BYTES = 100 * 1024 * 1024;

/** A subscription whose streams are open, or are being opened. */
interface OpenSubscription {
  readonly subscription: Subscription;
  readonly openedAtMs: number;
}

/**
 * Pulls a subscription, by its id or full name, until it is closed. A server that accepts the
 * connection and says nothing is left for a connection of a client made anew.
 * @throws MirrorError `CREDENTIALS_UNAVAILABLE`
 */
export async function pullSubscription(
  client: QueueClient,
  subscriptionName: string,
  options: PullOptions,
): Promise<Puller> {
  const leased = { messages: 0, bytes: 0 };
  const add = (message: Message, sign: 1 | -1): void => {
    leased.messages += sign;
    leased.bytes += sign * message.length;
  };
  let isClosing = false;

  async function opened(): Promise<OpenSubscription> {
    const { pubsub, timeoutMs, giveUp } = await client.openStream();
    const { Duration } = await import('./library.ts');
    const timeout = Duration.from({ milliseconds: CLOSE_TIMEOUT_MS });
    const subscription = pubsub.subscription(subscriptionName, {
      flowControl: {
        maxMessages: options.maxMessages,
        maxBytes: MAX_LEASED_BYTES,
        allowExcessMessages: false,
      },
      streamingOptions: { timeout: timeoutMs },
      maxAckDeadline: Duration.from({ seconds: MAX_LEASE_SECONDS }),
      maxExtensionTime: Duration.from({ seconds: options.maxExtensionSeconds }),
      closeOptions: { behavior: 'NACK', timeout },
    });
    subscription.on('message', (message: Message) => {
      add(message, 1);
      options.onMessage(
        pulled(message, () => {
          add(message, -1);
        }),
      );
    });
    subscription.on('error', (error: unknown) => {
      if (isClosing) return;
      // The stream's own deadline is no error: this one is that of its connection.
      if (codeOf(error) !== DEADLINE_EXCEEDED) {
        options.onFault(pullError(error, subscriptionName));
        return;
      }
      giveUp();
      open = opened();
      open.catch((fault: unknown) => {
        options.onFault(pullError(fault, subscriptionName));
      });
    });
    return { subscription, openedAtMs: performance.now() };
  }

  let open = opened();
  await open;
  return {
    get full() {
      return leased.messages >= options.maxMessages || leased.bytes >= MAX_LEASED_BYTES;
    },
    async close() {
      isClosing = true;
      // What could not be opened has been told.
      const last = await open.catch(() => undefined);
      if (last !== undefined) await closed(last);
    },
  };
}

async function closed({ subscription, openedAtMs }: OpenSubscription): Promise<void> {
  await delay(Math.max(0, openedAtMs + OPENING_MS - performance.now()));
  await subscription.close();
  subscription.removeAllListeners();
}

function pulled(message: Message, onSettled: () => void): PulledMessage {
  return {
    id: message.id,
    publishedAtMs: message.publishTime.getTime(),
    attributes: message.attributes,
    data: message.data,
    ack: () => {
      message.ack();
      onSettled();
    },
    nack: () => {
      message.nack();
      onSettled();
    },
  };
}

/** Only the text of a client's error: gax keeps the call's metadata, credentials too, in it. */
export function pullError(error: unknown, subscriptionName: string): MirrorError {
  if (error instanceof MirrorError) return error;
  return new MirrorError(
    'PULL_FAILED',
    `pull ${subscriptionName}: ${printable(errorText(error))}`,
    {
      operation: 'pull messages',
    },
  );
}
