import type { Fault } from '../fault.ts';
import type { QueueClient } from '../subscriber/queue/client.ts';
import { pullSubscription, type PulledMessage } from '../subscriber/queue/puller.ts';

/** What takes pulled messages. */
export interface Taker {
  /** Whether nothing of what it took is under way. */
  readonly idle: boolean;
  receive(message: PulledMessage): void;
  /** Waits for what is under way and settles all messages. */
  stop(): Promise<void>;
}

/** How a subscription is emptied. */
export interface PullUntilIdleOptions {
  readonly subscription: string;
  /** Most messages leased at once, those that are kept included. */
  readonly maxMessages: number;
  readonly maxExtensionSeconds: number;
  /** It is empty when nothing was received for so long and nothing is under way, milliseconds. */
  readonly idleMs: number;
  /** Ends the pull early. */
  readonly signal: AbortSignal;
}

/**
 * Pulls a subscription into a taker until it is empty or the signal aborts.
 * @throws Fault `PULL_FAILED` after what is under way has ended
 */
export async function pullUntilIdle(
  client: QueueClient,
  taker: Taker,
  options: PullUntilIdleOptions,
): Promise<void> {
  const { promise: ended, resolve: end } = Promise.withResolvers<undefined>();
  let failure: Fault | undefined;
  let lastMs = performance.now();
  const puller = await pullSubscription(client, options.subscription, {
    maxMessages: options.maxMessages,
    maxExtensionSeconds: options.maxExtensionSeconds,
    onMessage: (message) => {
      lastMs = performance.now();
      taker.receive(message);
    },
    onFault: (fault) => {
      failure = fault;
      end(undefined);
    },
  });
  const look = setInterval(
    () => {
      if (!taker.idle) lastMs = performance.now();
      else if (performance.now() - lastMs >= options.idleMs) end(undefined);
    },
    Math.min(1000, options.idleMs / 4),
  );
  const stop = (): void => {
    end(undefined);
  };
  options.signal.addEventListener('abort', stop, { once: true });
  if (options.signal.aborted) stop();
  await ended;
  clearInterval(look);
  options.signal.removeEventListener('abort', stop);
  await taker.stop();
  await puller.close();
  if (failure !== undefined) throw failure;
}
