import { composeEngine, publisherOf, type Engine } from '../compose.ts';
import { SYSTEM_TIMING } from '../concurrency.ts';
import type { Environment, JobConfig } from '../config.ts';
import { oneLine, shownJson, type Fault } from '../fault.ts';
import { refuseOption } from '../options/option.ts';
import { AdviceTally } from '../report/advice.ts';
import { progressLine, type Progress } from '../report/progress.ts';
import { isFailed, reportDocument, type RunResult } from '../report/report-document.ts';
import { repositoryLine, summaryLines, tagLine } from '../report/report-lines.ts';
import {
  deliveryDeadline,
  type DeliveryDeadline,
  type ProcessEnd,
} from '../subscriber/delivery-deadline.ts';
import { readEventVariable } from '../subscriber/hand-off.ts';
import { queueClient, type QueueClient } from '../pubsub/client.ts';
import { topicPublisher } from '../pubsub/publisher.ts';
import { fullTopicName, readSubscription, type SubscriptionFacts } from '../pubsub/subscription.ts';
import { createLogger, type Logger } from '../telemetry/logger.ts';
import { Drain } from './drain.ts';
import { runEvent, taskAttempt } from './event-run.ts';
import { executeEvent } from './event-work.ts';
import { mirrorImages } from './images.ts';
import { Pauses } from './pauses.ts';
import { endedWell, pullUntilIdle } from './pull-until-idle.ts';
import { Republishing } from './republish.ts';

/** Where a run writes. */
export interface RunStreams {
  readonly stdout: { write(text: string): unknown; readonly isTTY?: boolean | undefined };
  readonly stderr: {
    write(text: string): unknown;
    readonly isTTY?: boolean | undefined;
    readonly columns?: number | undefined;
  };
}

/** What a run is made of. */
export interface RunParts {
  readonly config: JobConfig;
  readonly env: Environment;
  /** The end of the process, once it is told to. */
  readonly end: ProcessEnd;
  readonly streams: RunStreams;
  /** See {@link SubscriptionFacts.comesBackMs}. Default: as the subscription says. */
  readonly comesBackMs?: number;
}

/**
 * Messages leased at once: most older events of an object are seen beside its newest, and what is
 * kept (other dead letters, failures) seldom stands before the rest. At 2 KiB each, 20 MiB.
 */
const MAX_LEASED_MESSAGES = 10_000;
/** Longest lease where the task has no timeout: the longest task there is is a week, Cloud Run's own default a day. */
const MAX_LEASE_SECONDS = 24 * 3600;
/** `--timeout` where a person looks on and did not say. */
const TERMINAL_TIMEOUT_MS = 10 * 60_000;
/** Before a task's timeout this is left for publishing what remains, at most a tenth of it. */
const TIMEOUT_MARGIN_MS = 60_000;

/**
 * Does what the configuration says.
 * @returns the exit code: 0, or 1 where another run has something to do; of `--image` also where a tag
 *   is not at the destination as it is at the source
 * @throws Fault `OPTION_INVALID` before anything is done; `PULL_FAILED`
 */
export async function run(parts: RunParts): Promise<number> {
  const { config } = parts;
  if (config.images.length > 0) return runImages(parts);
  if (config.event !== undefined) return runOneEvent(parts, config.event);
  const { drain = '', republish } = config;
  return republish === undefined ? runDrain(parts, drain) : runRepublish(parts, drain, republish);
}

async function runImages(parts: RunParts): Promise<number> {
  const { config, streams } = parts;
  // The report has standard output for itself.
  const logger = createLogger({
    level: config.logLevel,
    encoding: 'console',
    write: (line) => {
      progress.line(line, (text) => streams.stderr.write(text));
    },
  });
  const print = printer(streams);
  const asText = config.output === 'text';
  const progress = progressLine(print, streams.stderr, SYSTEM_TIMING.now);
  const pauses = new Pauses(logger, SYSTEM_TIMING.now);
  const engine = composeEngine(config, logger, {
    dryRun: config.dryRun,
    countRequests: false,
    onPause: (pause) => {
      pauses.note(pause);
    },
  });
  const advice = new AdviceTally();
  const interrupted = new AbortController();
  parts.end.onTold(() => {
    interrupted.abort();
  });
  const { timeoutMs = 0 } = config;
  const deadlineAtMs = timeoutMs === 0 ? undefined : SYSTEM_TIMING.now() + timeoutMs;
  const stopTimer = timeLimitOf(config, streams, pauses, (fault) => {
    interrupted.abort(fault);
  });
  try {
    const result = await mirrorImages(
      config,
      engine,
      {
        onRecord: (image, record) => {
          progress.tag();
          if (record.fault !== undefined && record.outcome === 'failed') advice.fault(record.fault);
          if (record.outcome === 'lost') advice.tagLost();
          if (asText) progress.line(tagLine(image, record));
        },
        onBytes: (count) => {
          progress.bytes(count);
        },
        onRepository: (repository) => {
          if (repository.fault !== undefined) advice.fault(repository.fault);
          if (repository.report?.ending === 'source-lost') advice.repositoryLost();
          if (asText) progress.line(repositoryLine(repository));
        },
      },
      deadlineAtMs,
      interrupted.signal,
    );
    progress.end();
    report(result, config, streams);
    for (const line of advice.lines) streams.stderr.write(`${oneLine(line)}\n`);
    return isComplete(result) ? 0 : 1;
  } finally {
    stopTimer();
    progress.end();
    await engine.close();
  }
}

/**
 * Ends a run at `--timeout`. Where a person looks on and did not say, what moves may take its time: it
 * ends only where, every ten minutes, a registry is being waited for.
 * @returns takes the timer back
 */
function timeLimitOf(
  { timeoutMs }: JobConfig,
  { stderr }: RunStreams,
  pauses: Pauses,
  end: (fault: Fault) => void,
): () => void {
  const limitMs = timeoutMs ?? (stderr.isTTY === true ? TERMINAL_TIMEOUT_MS : 0);
  let stop = (): void => undefined;
  function arm(): void {
    if (limitMs === 0) return;
    stop = SYSTEM_TIMING.setTimer(limitMs, () => {
      const fault = pauses.timeoutFault();
      if (timeoutMs !== undefined || fault.code === 'RATE_LIMITED') end(fault);
      else arm();
    });
  }
  arm();
  return () => {
    stop();
  };
}

async function runOneEvent(parts: RunParts, event: string): Promise<number> {
  const { config, env, streams } = parts;
  try {
    readEventVariable(event);
  } catch (error) {
    return refuseOption('EVENT', error instanceof Error ? error.message : String(error));
  }
  return withEngine(parts, async ({ engine, deadline, progress, logger, queue }) => {
    const { result, settled } = await runEvent(
      { ...config, event },
      {
        engine,
        deadline,
        progress,
        logger,
        deadLetters: publisherOf(queue, config.deadLetterTopic),
        attempt: taskAttempt(env['CLOUD_RUN_TASK_ATTEMPT'], config.taskMaxRetries),
      },
    );
    progress.end();
    if (config.output === 'json') report(result, config, streams);
    return settled ? 0 : 1;
  });
}

async function runDrain(parts: RunParts, subscription: string): Promise<number> {
  const { config } = parts;
  return withEngine(parts, async (machinery) => {
    const { engine, deadline, progress, logger, queue } = machinery;
    let failedEvents = 0;
    const drain = new Drain({
      workers: config.workers,
      acceptFluxEvents: config.acceptFluxEvents,
      dryRun: config.dryRun,
      logger,
      deadLetters: publisherOf(queue, config.deadLetterTopic),
      execute: async (event) => {
        const { decision, report: done } = await executeEvent(event, {
          engine,
          deadline,
          progress,
          logger,
        });
        if ((done?.counts.failed ?? 1) > 0) failedEvents += 1;
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

async function runRepublish(parts: RunParts, subscription: string, topic: string): Promise<number> {
  const { config } = parts;
  const { logger, progress } = logOf(parts);
  const deadline = deadlineOf(parts);
  const queue = queueClient(config.projectId, { signal: deadline.signal });
  const looped = new AbortController();
  let loop: Fault | undefined;
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

/** What the ways that execute events have in common. */
interface Machinery {
  readonly engine: Engine;
  readonly deadline: DeliveryDeadline;
  readonly progress: Progress;
  readonly logger: Logger;
  readonly queue: QueueClient;
}

async function withEngine(
  parts: RunParts,
  work: (machinery: Machinery) => Promise<number>,
): Promise<number> {
  const { config } = parts;
  const { logger: plainLogger, progress } = logOf(parts);
  const pauses = new Pauses(plainLogger, SYSTEM_TIMING.now);
  const engine = composeEngine(config, plainLogger, {
    dryRun: config.dryRun,
    onPause: (pause) => {
      pauses.note(pause);
    },
    serviceName: parts.env['CLOUD_RUN_JOB'] ?? 'imagerepo-mirror',
  });
  const { logger } = engine;
  const deadline = deadlineOf(parts);
  // The run of one event first needs it when it has ended: for what remains, which must not get lost.
  const { signal } = deadline;
  const queue = queueClient(config.projectId, config.event === undefined ? { signal } : {});
  try {
    return await work({ engine, deadline, progress, logger, queue });
  } finally {
    progress.end();
    deadline.release();
    await engine.close();
    await queue.close();
  }
}

/** The log: for a person on a terminal, structured elsewhere; beside a report on standard error. */
function logOf({ config, env, streams }: RunParts): { logger: Logger; progress: Progress } {
  const { stdout, stderr } = streams;
  const out = config.output === 'json' ? stderr : stdout;
  const progress = progressLine(
    (line) => out.write(line),
    stderr,
    SYSTEM_TIMING.now,
    (sentence) => {
      logger.info(`so far ${sentence}`);
    },
  );
  const { CLOUD_RUN_JOB: name = 'imagerepo-mirror', CLOUD_RUN_EXECUTION: version = 'local' } = env;
  const logger = createLogger({
    level: config.logLevel,
    encoding: out.isTTY === true ? 'console' : 'json',
    service: { name, version },
    write: (line) => {
      progress.line(line);
    },
  });
  return { logger, progress };
}

/** A run ends in order at `--timeout`, before its task's timeout, and when the process is told to end. */
function deadlineOf({ config, end }: RunParts): DeliveryDeadline {
  const { timeoutMs = 0, taskTimeoutSeconds } = config;
  const taskMs = taskTimeoutSeconds * 1000;
  const wholeMs = Math.min(
    timeoutMs === 0 ? Number.POSITIVE_INFINITY : timeoutMs,
    taskMs === 0 ? Number.POSITIVE_INFINITY : taskMs - Math.min(TIMEOUT_MARGIN_MS, taskMs / 10),
  );
  return deliveryDeadline(SYSTEM_TIMING.now(), wholeMs, end, SYSTEM_TIMING);
}

async function factsOf(
  { comesBackMs }: RunParts,
  queue: QueueClient,
  name: string,
  signal: AbortSignal,
): Promise<SubscriptionFacts> {
  const facts = await readSubscription(queue, name, signal);
  return comesBackMs === undefined ? facts : { ...facts, comesBackMs };
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

function report(result: RunResult, { output }: JobConfig, streams: RunStreams): void {
  if (output === 'json') streams.stdout.write(`${shownJson(reportDocument(result), 2)}\n`);
  else summaryLines(result).forEach(printer(streams));
}

/** Whether everything that was asked for is at the destination as it is at the source. */
function isComplete({ repositories }: RunResult): boolean {
  return repositories.every((one) => {
    const { lost = 0, drifted = 0, held = 0 } = one.report?.counts ?? {};
    return !isFailed(one) && lost + drifted + held === 0;
  });
}

function printer({ stdout }: RunStreams): (line: string) => void {
  return (line) => {
    stdout.write(`${oneLine(line)}\n`);
  };
}
