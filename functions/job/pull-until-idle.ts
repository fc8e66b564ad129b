import { setTimeout as delay } from 'node:timers/promises';

import type { MirrorError } from '../errors.ts';
import type { QueueClient } from '../pubsub/client.ts';
import { pullSubscription, type PulledMessage, type Puller } from '../pubsub/puller.ts';
import { hasMessage, type SubscriptionFacts } from '../pubsub/subscription.ts';
import type { Logger } from '../telemetry/logger.ts';

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
  readonly subscription: SubscriptionFacts;
  /** Most messages leased at once, those that are kept included. */
  readonly maxMessages: number;
  readonly maxExtensionSeconds: number;
  /** It is empty when nothing was received for so long and nothing is under way, milliseconds. */
  readonly idleMs: number;
  readonly logger: Logger;
  /** Ends the pull early. */
  readonly signal: AbortSignal;
}

/**
 * How a pull ended. `empty`: nothing came any more, and the broker says so. `full`: nothing could
 * come any more, since what is kept is as much as may be leased; more may stand behind it.
 * `not-empty`: nothing came although there are messages. `stopped`: by the signal.
 */
export type PullEnding = 'empty' | 'full' | 'not-empty' | 'stopped';

/**
 * How long a message that is there may take to come, in milliseconds, where no longer back-off keeps
 * it: the shortest of a retry policy is 10 s by default (RetryPolicy), and streams are opened anew
 * within seconds.
 */
const COMES_WITHIN_MS = 15_000;

/**
 * Pulls a subscription into a taker until it is empty or the signal aborts. The broker is asked
 * before it is called empty: a dead connection brings nothing either. What another reader took
 * before is waited for: the broker shows it to nobody until it comes back.
 * @throws MirrorError `PULL_FAILED` after what is under way has ended
 */
export async function pullUntilIdle(
  client: QueueClient,
  taker: Taker,
  options: PullUntilIdleOptions,
): Promise<PullEnding> {
  const { subscription, signal } = options;
  const quiet = new Quiet(taker);
  const failed = new AbortController();
  const ended = AbortSignal.any([signal, failed.signal]);
  let failure: MirrorError | undefined;
  const puller = await pullSubscription(client, subscription.name, {
    maxMessages: options.maxMessages,
    maxExtensionSeconds: options.maxExtensionSeconds,
    onMessage: (message) => {
      quiet.received += 1;
      taker.receive(message);
    },
    onFault: (fault) => {
      failure = fault;
      failed.abort();
    },
  });
  let ending: PullEnding = 'stopped';
  try {
    ending = await untilEmpty(client, puller, quiet, options, ended);
  } catch (error) {
    if (!ended.aborted) throw error;
  } finally {
    await taker.stop();
    await puller.close();
  }
  if (failure !== undefined) throw failure;
  return ending;
}

/** Why it is waited for the longest deadline and back-off that there are. */
const UNREAD =
  ' (the subscription may not be read, which would tell its deadline: roles/pubsub.viewer; --drain-idle below 60s ends without)';

/** Whether a pull saw all there was; if not, it is said. */
export function endedWell(ending: PullEnding, subscription: string, logger: Logger): boolean {
  switch (ending) {
    case 'empty':
      return true;
    case 'full':
      // What is kept hides what may stand behind it.
      logger.warning(
        'as many messages are kept as can be leased: there may be more behind them, ' +
          'which come once these are executed, republished or purged',
      );
      return false;
    case 'not-empty':
      logger.warning(
        `${subscription} is not empty, but nothing came any more: another reader takes its messages, ` +
          'or they wait for the back-off of its retry policy; run this again later',
      );
      return false;
    case 'stopped':
      logger.warning(`stopped before ${subscription} was empty; run this again`);
      return false;
  }
}

async function untilEmpty(
  client: QueueClient,
  puller: Puller,
  quiet: Quiet,
  { subscription, idleMs, logger }: PullUntilIdleOptions,
  signal: AbortSignal,
): Promise<PullEnding> {
  const comesWithinMs = Math.max(COMES_WITHIN_MS, subscription.longestBackoffMs);
  let allBackAtMs = performance.now() + subscription.comesBackMs;
  let isTold = false;
  await quiet.last(idleMs, signal);
  const isFull = (): boolean => puller.full;
  for (;;) {
    if (isFull()) return 'full';
    const before = quiet.received;
    const waits = await hasMessage(client, subscription.name, signal);
    const came = (): boolean => quiet.received > before;
    if (!waits && !came()) {
      const leftMs = allBackAtMs - performance.now();
      if (leftMs <= 0) return 'empty';
      if (!isTold) {
        logger.notice(
          `nothing more comes from ${subscription.name}; messages that another reader took come back ` +
            `within ${Math.ceil(leftMs / 1000)} s, which are waited for` +
            (subscription.topic === undefined ? UNREAD : ''),
        );
      }
      isTold = true;
      await quiet.last(idleMs, signal, Math.max(idleMs, leftMs));
      continue;
    }
    // What was shown and handed back is in its back-off now, and shown to nobody.
    if (waits) {
      allBackAtMs = Math.max(allBackAtMs, performance.now() + subscription.longestBackoffMs);
    }
    await quiet.last(idleMs, signal, Math.max(idleMs, waits ? comesWithinMs : 0));
    if (waits && !came() && !isFull()) return 'not-empty';
  }
}

/** Knows for how long nothing came while nothing was under way. */
class Quiet {
  /** Messages so far. */
  received = 0;
  readonly #taker: Taker;

  constructor(taker: Taker) {
    this.#taker = taker;
  }

  /**
   * Waits until it has been quiet for so long.
   * @param firstMs until the first message, where that is longer
   * @throws the signal's reason
   */
  async last(idleMs: number, signal: AbortSignal, firstMs = idleMs): Promise<void> {
    let seen = this.received;
    let sinceMs = performance.now();
    const none = seen;
    for (;;) {
      await delay(Math.min(1000, idleMs / 4), undefined, { signal });
      if (this.received !== seen || !this.#taker.idle) {
        seen = this.received;
        sinceMs = performance.now();
      } else if (performance.now() - sinceMs >= (seen === none ? firstMs : idleMs)) {
        return;
      }
    }
  }
}
