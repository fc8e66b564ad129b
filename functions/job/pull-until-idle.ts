import type { Fault } from '../fault.ts';
import type { QueueClient } from '../pubsub/client.ts';
import { pullSubscription, type PulledMessage } from '../pubsub/puller.ts';

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
 * How a pull ended. `empty`: nothing came any more. `full`: nothing could come any more, since what
 * is kept is as much as may be leased; more may stand behind it. `stopped`: by the signal.
 */
export type PullEnding = 'empty' | 'full' | 'stopped';

/**
 * Pulls a subscription into a taker until it is empty or the signal aborts.
 * @throws Fault `PULL_FAILED` after what is under way has ended
 */
export async function pullUntilIdle(
  client: QueueClient,
  taker: Taker,
  options: PullUntilIdleOptions,
): Promise<PullEnding> {
  const { promise: ended, resolve: end } = Promise.withResolvers<PullEnding>();
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
      end('stopped');
    },
  });
  const look = setInterval(
    () => {
      if (!taker.idle) lastMs = performance.now();
      else if (performance.now() - lastMs >= options.idleMs) end(puller.full ? 'full' : 'empty');
    },
    Math.min(1000, options.idleMs / 4),
  );
  const stop = (): void => {
    end('stopped');
  };
  options.signal.addEventListener('abort', stop, { once: true });
  if (options.signal.aborted) stop();
  const ending = await ended;
  clearInterval(look);
  options.signal.removeEventListener('abort', stop);
  await taker.stop();
  await puller.close();
  if (failure !== undefined) throw failure;
  return ending;
}
