import { setTimeout as delay } from 'node:timers/promises';

import type { Message, Subscription } from '@google-cloud/pubsub';

import type { EncodedEvent } from '../contract/codec.ts';
import { Fault } from '../fault.ts';
import type { QueueClient } from './client.ts';

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
  readonly onFault: (fault: Fault) => void;
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

/** Most bytes of data that are leased at once: the client's own default. */
const MAX_LEASED_BYTES = 100 * 1024 * 1024;

/** Pulls a subscription, by its id or full name, until it is closed. @throws Fault `PULL_FAILED` */
export async function pullSubscription(
  client: QueueClient,
  subscriptionName: string,
  options: PullOptions,
): Promise<Puller> {
  const pubsub = await client.openStream();
  const { Duration } = await import('./library.ts');
  const subscription = pubsub.subscription(subscriptionName, {
    flowControl: {
      maxMessages: options.maxMessages,
      maxBytes: MAX_LEASED_BYTES,
      allowExcessMessages: false,
    },
    maxExtensionTime: Duration.from({ seconds: options.maxExtensionSeconds }),
    closeOptions: { behavior: 'NACK', timeout: Duration.from({ milliseconds: CLOSE_TIMEOUT_MS }) },
  });
  const leased = { messages: 0, bytes: 0 };
  const add = (message: Message, sign: 1 | -1): void => {
    leased.messages += sign;
    leased.bytes += sign * message.length;
  };
  subscription.on('message', (message: Message) => {
    add(message, 1);
    options.onMessage(
      pulled(message, () => {
        add(message, -1);
      }),
    );
  });
  subscription.on('error', (error: unknown) => {
    options.onFault(pullFault(error, subscriptionName));
  });
  const openedAtMs = performance.now();
  return {
    get full() {
      return leased.messages >= options.maxMessages || leased.bytes >= MAX_LEASED_BYTES;
    },
    close: async () => closed(subscription, openedAtMs),
  };
}

async function closed(subscription: Subscription, openedAtMs: number): Promise<void> {
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
function pullFault(error: unknown, subscriptionName: string): Fault {
  const text = error instanceof Error ? error.message : String(error);
  return new Fault('PULL_FAILED', `pull ${subscriptionName}: ${text}`, {
    operation: 'pull messages',
  });
}
