import { backoffMs } from '../concurrency.ts';
import type { MirrorError } from '../errors.ts';
import { MAX_PAUSE_MS } from './retry-after.ts';

/** How often and after what wait a request is sent again. */
export interface RetryPolicy {
  /** Tries of a request that failed (network, 408, 5xx), the first included. */
  readonly maxAttempts: number;
  /** Tries of a request that was throttled (429), the first included. */
  readonly maxThrottledAttempts: number;
  /** The wait before the n-th retry is random in 0 … base · 2^(n-1). */
  readonly baseMs: number;
  /** Upper bound of that range. */
  readonly maxMs: number;
}

/**
 * 4 tries within about 4 s: what outlives that is redelivered by Pub/Sub in minutes. A throttled
 * request waits for its limiter, which knows how long, and is tried more often.
 */
export const RETRY_POLICY: RetryPolicy = {
  maxAttempts: 4,
  maxThrottledAttempts: 6,
  baseMs: 500,
  maxMs: 8_000,
};

/** No second try: for a body that cannot be sent twice. */
export const NO_RETRY: RetryPolicy = { ...RETRY_POLICY, maxAttempts: 1, maxThrottledAttempts: 1 };

/** Statuses of a registry or a proxy before it that may pass (ggcr and oras-go retry the same). */
const PASSING_STATUSES = new Set([408, 429, 499, 500, 502, 503, 504, 522]);

/** Whether an answer of this status may be another one later. */
export function isPassingStatus(status: number): boolean {
  return PASSING_STATUSES.has(status);
}

/**
 * The wait before the next try, in milliseconds; undefined: there is none. Full jitter, so that
 * requests which failed together do not come back together. A throttled request is not delayed
 * here: its origin's starts are closed for as long as the registry asked. A registry that asks for a
 * longer pause than {@link MAX_PAUSE_MS} is not asked again.
 * @param attempt number of tries so far, from 1
 * @param random 0 … 1
 */
export function retryDelayMs(
  policy: RetryPolicy,
  attempt: number,
  fault: MirrorError,
  random: number,
): number | undefined {
  const askedMs = fault.retryAfterMs ?? 0;
  if (askedMs > MAX_PAUSE_MS) return undefined;
  switch (fault.code) {
    case 'RATE_LIMITED':
      return attempt < policy.maxThrottledAttempts ? 0 : undefined;
    case 'NETWORK':
    case 'TIMEOUT':
    case 'SERVER_ERROR':
      return attempt < policy.maxAttempts
        ? Math.max(askedMs, backoffMs(policy, attempt, random))
        : undefined;
    default:
      return undefined;
  }
}

/** Artifact Registry's quota text: its quotas count whole minutes. */
const MINUTE_QUOTA = /quota exceeded for quota metric .*per minute/i;

/** Longest own back-off after a 429. */
const MAX_THROTTLE_MS = 30_000;

/**
 * How long a host is left alone after a 429, in milliseconds: as it asked, and never less than the own
 * back-off (a `Retry-After: 0` in answer to every request would be a loop without a pause); at a quota
 * of minutes until the next minute begins and up to 2 s of jitter; else the own back-off, twice the
 * policy's base doubled per try, jittered by half.
 */
export function throttlePauseMs(
  answer: { readonly retryAfterMs: number | undefined; readonly message: string },
  attempt: number,
  nowMs: number,
  random: number,
  policy: RetryPolicy = RETRY_POLICY,
): number {
  const ownMs = (0.5 + random / 2) * Math.min(policy.baseMs * 2 ** attempt, MAX_THROTTLE_MS);
  if (answer.retryAfterMs !== undefined) return Math.max(answer.retryAfterMs, ownMs);
  if (MINUTE_QUOTA.test(answer.message)) return 60_000 - (nowMs % 60_000) + random * 2_000;
  return ownMs;
}
