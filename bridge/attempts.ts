import { MirrorError, toMirrorError, type ErrorCode } from '../functions/errors.ts';
import type { Logger } from '../functions/telemetry/logger.ts';
import { backoff, isAborted, sleep, type BackoffRange } from './backoff.ts';

/** How long something is tried, and who hears of it. */
export interface AttemptOptions {
  /** Time after which the last fault stands, ms. */
  readonly timeoutMs: number;
  /** Ends it at once. */
  readonly signal: AbortSignal;
  readonly logger: Logger;
  readonly backoff?: BackoffRange | undefined;
  /** Default 10,000: how often it is said what is waited for, ms. */
  readonly tellMs?: number | undefined;
}

/** A person at a terminal wonders after about so long. */
const TELL_MS = 10_000;

/** Answers of a server that is starting, stopping or busy, and 410: a list is too old to go on. */
const PASSING: readonly number[] = [408, 410, 429, 500, 502, 503, 504];
const PASSING_CODES: readonly ErrorCode[] = [
  'NETWORK',
  'TIMEOUT',
  'CREDENTIALS_UNAVAILABLE',
  'PUBLISH_FAILED',
];

/**
 * Tries until it succeeds, with waits in between. Faults that do not pass by themselves end it; a
 * connection that was cut, a server that is busy and credentials that come late do pass.
 * @param what what is waited for, as the log says it: `the list of ImageRepositories`
 * @throws MirrorError the last one, when the time is over or it does not pass; `ABORTED` by the signal
 */
export async function attempt<T>(
  what: string,
  options: AttemptOptions,
  once: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { timeoutMs, logger, tellMs = TELL_MS } = options;
  const wait = backoff(options.backoff);
  const startedMs = performance.now();
  const late = AbortSignal.timeout(timeoutMs);
  const signal = AbortSignal.any([options.signal, late]);
  const { promise: ended, reject } = Promise.withResolvers<never>();
  ended.catch(() => undefined);
  const end = (): void => {
    reject(new MirrorError('ABORTED', `waiting for ${what} was ended`));
  };
  signal.addEventListener('abort', end, { once: true });
  if (signal.aborted) end();
  let last: MirrorError | undefined;
  const telling = setInterval(() => {
    const seconds = Math.round((performance.now() - startedMs) / 1000);
    logger.warning(`waiting for ${what}`, { seconds, error: last });
  }, tellMs);
  try {
    for (;;) {
      try {
        return await Promise.race([once(signal), ended]);
      } catch (error) {
        const fault = toMirrorError(error, what);
        // What the end itself has cut says less than what was there before.
        if (signal.aborted) throw endOf(what, options.signal, last ?? fault);
        if (!isPassing(fault)) throw fault;
        last = fault;
      }
      await sleep(Math.max(wait.next(), last.retryAfterMs ?? 0), signal);
      if (isAborted(signal)) throw endOf(what, options.signal, last);
    }
  } finally {
    clearInterval(telling);
    signal.removeEventListener('abort', end);
  }
}

function isPassing(fault: MirrorError): boolean {
  return PASSING_CODES.includes(fault.code) || PASSING.includes(fault.status ?? 0);
}

function endOf(what: string, signal: AbortSignal, last: MirrorError): MirrorError {
  if (signal.aborted) return new MirrorError('ABORTED', `waiting for ${what} was ended`);
  if (last.code !== 'ABORTED') return last;
  return new MirrorError('TIMEOUT', `${what} did not come in time`, {
    operation: `wait for ${what}`,
  });
}
