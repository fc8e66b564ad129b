import { publisherOf } from '../compose.ts';
import { SYSTEM_TIMING } from '../concurrency.ts';
import type { JobConfig } from '../config.ts';
import type { MirrorError } from '../errors.ts';
import { refuseOption } from '../options/option.ts';
import { queueClient, type QueueClient } from '../pubsub/client.ts';
import { topicPublisher } from '../pubsub/publisher.ts';
import { fullTopicName, readSubscription, type SubscriptionFacts } from '../pubsub/subscription.ts';
import { Drain } from './drain.ts';
import { executeInJob } from './one-event.ts';
import { endedWell, pullUntilIdle } from './pull-until-idle.ts';
import { Republishing } from './republish.ts';
import { deadlineOf, logOf, withEngine, type RunParts } from './session.ts';

/**
 * Messages leased at once: most older events of an object are seen beside its newest, and what is
 * kept (other dead letters, failures) seldom stands before the rest. At 2 KiB each, 20 MiB.
 */
const MAX_LEASED_MESSAGES = 10_000;
/** Longest lease where the task has no timeout: the longest task there is is a week, Cloud Run's own default a day. */
const MAX_LEASE_SECONDS = 24 * 3600;
/** `--drain`: executes the events of a subscription. @returns the exit code */
export async function runDrain(parts: RunParts, subscription: string): Promise<number> {
  const { config } = parts;
  return withEngine(parts, async (session) => {
    const { deadline, logger, queue } = session;
    let failedEvents = 0;
    const drain = new Drain({
      workers: config.workers,
      acceptFluxEvents: config.acceptFluxEvents,
      dryRun: config.dryRun,
      verification: config,
      logger,
      deadLetters: publisherOf(queue, config.deadLetterTopic),
      execute: async (event) => {
        const { decision, report } = await executeInJob(event, session);
        if ((report?.counts.failed ?? 1) > 0) failedEvents += 1;
        if (decision.action === 'dead-letter') return { never: decision.fault };
        return decision.action === 'acknowledge' ? 'done' : 'transient';
      },
    });
    const facts = await factsOf(parts, queue, subscription, deadline.signal);
    const ending = await pullUntilIdle(queue, drain, {
      ...pullOptions(config),
      subscription: facts,
      signal: deadline.signal,
      logger,
    });
    const { counts } = drain;
    const done = config.dryRun ? 'would be ' : '';
    logger.info(
      `${config.dryRun ? 'looked at' : 'drained'} ${counts.received} messages: ` +
        `${counts.executed} events ${done}executed, ${counts.replaced} ${done}replaced by newer ones, ` +
        `${counts.deadLettered} ${done}put aside, ${counts.handedBack} handed back`,
      { entry: 'drain', dryRun: config.dryRun, ending, ...counts, failedEvents },
    );
    return endedWell(ending, subscription, logger) && counts.undone === 0 ? 0 : 1;
  });
}

/**
 * `--republish`: publishes the dead letters of a subscription anew.
 * @returns the exit code
 * @throws MirrorError `OPTION_INVALID` where the topic is the subscription's own
 */
export async function runRepublish(
  parts: RunParts,
  subscription: string,
  topic: string,
): Promise<number> {
  const { config } = parts;
  const { logger, progress } = logOf(parts);
  const deadline = deadlineOf(parts);
  const queue = queueClient(config.projectId, { signal: deadline.signal });
  const looped = new AbortController();
  let loop: MirrorError | undefined;
  try {
    const facts = await factsOf(parts, queue, subscription, deadline.signal);
    if (facts.topic === (await fullTopicName(queue, topic))) {
      refuseOption('--republish', `${topic} is the topic of ${subscription}: it would never end`);
    }
    const republishing = new Republishing({
      publisher: topicPublisher(queue, topic),
      codes: config.filter,
      dryRun: config.dryRun,
      startedAtMs: SYSTEM_TIMING.now(),
      onLoop: (fault) => {
        loop = fault;
        looped.abort();
      },
      logger,
    });
    const ending = await pullUntilIdle(queue, republishing, {
      ...pullOptions(config),
      subscription: facts,
      signal: AbortSignal.any([deadline.signal, looped.signal]),
      logger,
    });
    const { counts } = republishing;
    logger.info(
      `${config.dryRun ? 'would republish' : 'republished'} ${counts.republished} of ` +
        `${counts.received} messages to ${topic}, ${counts.handedBack} handed back`,
      { entry: 'republish', dryRun: config.dryRun, ending, ...counts },
    );
    if (loop !== undefined) throw loop;
    return endedWell(ending, subscription, logger) && counts.failed + counts.later === 0 ? 0 : 1;
  } finally {
    progress.end();
    deadline.release();
    await queue.close();
  }
}

/** The default of `--drain-idle`; below it messages of killed readers, and back-offs, are not waited for. */
const FULL_IDLE_MS = 60_000;

/**
 * What another reader took is waited for in full where nobody asks for a sooner end; then by its own deadline,
 * and not at all where that is not known.
 */
async function factsOf(
  { comesBackMs, config: { drainIdleMs } }: RunParts,
  queue: QueueClient,
  name: string,
  signal: AbortSignal,
): Promise<SubscriptionFacts> {
  const facts = await readSubscription(queue, name, signal);
  const inHaste = drainIdleMs < FULL_IDLE_MS;
  if (inHaste && facts.topic === undefined)
    return { ...facts, comesBackMs: 0, longestBackoffMs: 0 };
  return { ...facts, comesBackMs: comesBackMs ?? (inHaste ? facts.deadlineMs : facts.comesBackMs) };
}

function pullOptions({ taskTimeoutSeconds, drainIdleMs }: JobConfig): {
  readonly maxMessages: number;
  readonly maxExtensionSeconds: number;
  readonly idleMs: number;
} {
  return {
    maxMessages: MAX_LEASED_MESSAGES,
    maxExtensionSeconds: taskTimeoutSeconds === 0 ? MAX_LEASE_SECONDS : taskTimeoutSeconds,
    idleMs: drainIdleMs,
  };
}
