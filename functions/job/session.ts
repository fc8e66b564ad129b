import { composeEngine, type Engine } from '../compose.ts';
import { SYSTEM_TIMING } from '../concurrency.ts';
import type { Environment, JobConfig } from '../config.ts';
import { oneLine, shownJson } from '../errors.ts';
import { queueClient, type QueueClient } from '../pubsub/client.ts';
import { progressLine, type Progress } from '../report/progress.ts';
import { reportDocument, type RunResult } from '../report/report-document.ts';
import { summaryLines } from '../report/report-lines.ts';
import {
  deliveryDeadline,
  type DeliveryDeadline,
  type ProcessEnd,
} from '../subscriber/delivery-deadline.ts';
import { createLogger, type Logger } from '../telemetry/logger.ts';
import { Pauses } from './pauses.ts';

/** Where a run writes. */
export interface RunStreams {
  readonly stdout: { write(text: string): unknown; readonly isTTY?: boolean | undefined };
  readonly stderr: {
    write(text: string): unknown;
    readonly isTTY?: boolean | undefined;
    readonly columns?: number | undefined;
  };
}

/** The configuration of a run, and where it writes. */
export interface RunParts {
  readonly config: JobConfig;
  readonly env: Environment;
  /** The end of the process, once it is told to. */
  readonly end: ProcessEnd;
  readonly streams: RunStreams;
  /** How long what another reader took may stay away, ms. Default: as the subscription says. */
  readonly comesBackMs?: number;
}

/** Before a task's timeout this is left for publishing what remains, at most a tenth of it. */
const TIMEOUT_MARGIN_MS = 60_000;

/** What the runs that execute events have in common. */
export interface Session {
  readonly engine: Engine;
  readonly deadline: DeliveryDeadline;
  readonly progress: Progress;
  readonly logger: Logger;
  readonly queue: QueueClient;
}

/** Does work with an engine, which is closed after it. */
export async function withEngine(
  parts: RunParts,
  work: (session: Session) => Promise<number>,
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
export function logOf({ config, env, streams }: RunParts): { logger: Logger; progress: Progress } {
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
export function deadlineOf({ config, end }: RunParts): DeliveryDeadline {
  const { timeoutMs = 0, taskTimeoutSeconds } = config;
  const taskMs = taskTimeoutSeconds * 1000;
  const wholeMs = Math.min(
    timeoutMs === 0 ? Number.POSITIVE_INFINITY : timeoutMs,
    taskMs === 0 ? Number.POSITIVE_INFINITY : taskMs - Math.min(TIMEOUT_MARGIN_MS, taskMs / 10),
  );
  return deliveryDeadline(SYSTEM_TIMING.now(), wholeMs, end, SYSTEM_TIMING);
}

/** Writes what came of a run: as JSON, or as a summary for a person. */
export function writeReport(result: RunResult, { output }: JobConfig, streams: RunStreams): void {
  if (output === 'json') streams.stdout.write(`${shownJson(reportDocument(result), 2)}\n`);
  else summaryLines(result).forEach(printer(streams));
}

/** Prints lines to standard output. */
export function printer({ stdout }: RunStreams): (line: string) => void {
  return (line) => {
    stdout.write(`${oneLine(line)}\n`);
  };
}
