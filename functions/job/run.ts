import { composeEngine, publisherOf } from '../compose.ts';
import { SYSTEM_TIMING } from '../concurrency.ts';
import type { JobConfig } from '../config.ts';
import { errorText, oneLine, type MirrorError } from '../errors.ts';
import { refuseOption } from '../options/option.ts';
import { AdviceTally } from '../report/advice.ts';
import { progressLine } from '../report/progress.ts';
import { isFailed, type RunResult } from '../report/report-document.ts';
import { repositoryLine, tagLine } from '../report/report-lines.ts';
import { readEventVariable } from '../subscriber/cloud-run-job.ts';
import { createLogger } from '../telemetry/logger.ts';
import { mirrorImages } from './images.ts';
import { runEvent, taskAttempt } from './one-event.ts';
import { Pauses } from './pauses.ts';
import { printer, withEngine, writeReport, type RunParts, type RunStreams } from './session.ts';
import { runDrain, runRepublish } from './subscription.ts';

/** `--timeout` where a person looks on and did not say. */
const TERMINAL_TIMEOUT_MS = 10 * 60_000;
/**
 * Does what the configuration says.
 * @returns the exit code: 0, or 1 where another run has something to do; of `--image` also where a tag
 *   is not at the destination as it is at the source
 * @throws MirrorError `OPTION_INVALID` before anything is done; `PULL_FAILED`
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
    writeReport(result, config, streams);
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
  end: (fault: MirrorError) => void,
): () => void {
  const limitMs = timeoutMs ?? (stderr.isTTY === true ? TERMINAL_TIMEOUT_MS : 0);
  let stop = (): void => undefined;
  function arm(): void {
    if (limitMs === 0) return;
    stop = SYSTEM_TIMING.setTimer(limitMs, () => {
      const fault = pauses.timeoutError();
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
    return refuseOption('EVENT', errorText(error));
  }
  return withEngine(parts, async (session) => {
    const { result, settled } = await runEvent(
      { ...config, event },
      {
        ...session,
        deadLetters: publisherOf(session.queue, config.deadLetterTopic),
        attempt: taskAttempt(env['CLOUD_RUN_TASK_ATTEMPT'], config.taskMaxRetries),
      },
    );
    session.progress.end();
    if (config.output === 'json') writeReport(result, config, streams);
    return settled ? 0 : 1;
  });
}

/** Whether everything that was asked for is at the destination as it is at the source. */
function isComplete({ repositories }: RunResult): boolean {
  const amiss = ['lost', 'drifted', 'held'] as const;
  return repositories.every(
    (one) => !isFailed(one) && amiss.every((outcome) => one.report?.counts[outcome] === 0),
  );
}
