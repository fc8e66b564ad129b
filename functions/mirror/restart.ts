import { backoffMs } from '../concurrency.ts';
import type { MirrorError, ErrorCode } from '../errors.ts';

/** Most attempts to upload one blob in one delivery. */
export const MAX_UPLOAD_ATTEMPTS = 4;

/** Full jitter over 0.5 s, 1 s, 2 s: at most 3.5 s in total, so a delivery is not spent on waiting. */
export const RESTART_BACKOFF = { baseMs: 500, maxMs: 2000 };

const WRONG_BYTES: ReadonlySet<ErrorCode> = new Set(['DIGEST_MISMATCH', 'SIZE_MISMATCH']);
const PASSING: ReadonlySet<ErrorCode> = new Set([
  'NETWORK',
  'TIMEOUT',
  'SERVER_ERROR',
  'RATE_LIMITED',
  'RESPONSE_INVALID',
]);

/** Most times that a host may ask for a pause before one blob is opened: as often as a client tries. */
const MAX_PAUSES = 6;
/** Longest pause that is waited for, milliseconds: quotas of registries count minutes. */
const MAX_PAUSE_MS = 10 * 60_000;

/** Full jitter over 1 s, 2 s … 30 s, for a host that goes on throttling without saying for how long. */
const PAUSE_BACKOFF = { baseMs: 1000, maxMs: 30_000 };

/**
 * How long a blob that could not be opened, or read on, is left alone, since its source wants no
 * request for a while; undefined: it is not waited for.
 * @param pauses answers of this kind so far, this one included
 * @param leftMs time until the work is cut
 */
export function pauseMsOf(
  fault: MirrorError,
  pauses: number,
  leftMs: number,
  random: number,
): number | undefined {
  if (fault.side !== 'source' || fault.retryAfterMs === undefined || pauses > MAX_PAUSES) {
    return undefined;
  }
  const pauseMs = Math.max(
    fault.retryAfterMs,
    backoffMs(PAUSE_BACKOFF, Math.max(1, pauses), random),
  );
  return fault.retryAfterMs > MAX_PAUSE_MS || pauseMs > leftMs ? undefined : pauseMs;
}

/** A destination that says nothing for so long after the last byte is slow, and not only cut off. */
const SLOW_COMMIT_MS = 60_000;

/**
 * Whether an upload that broke is begun again from its first byte. Only what sending again can
 * mend: the destination's own trouble up to four times; once more, bytes that missed their digest
 * or size, an upload whose token ended under way (a body that has flowed cannot be replayed
 * by the client), and one whose every byte was taken and that was looked for in vain since: it would
 * most likely end as before, and each try costs all of its bytes. A source that stays broken was
 * already resumed by its reader.
 * @param unansweredMs time since the last byte was taken; undefined: not all were
 */
export function mayRestart(fault: MirrorError, attempt: number, unansweredMs?: number): boolean {
  if (attempt >= MAX_UPLOAD_ATTEMPTS) return false;
  if (WRONG_BYTES.has(fault.code)) return attempt < 2;
  if (fault.side === 'source') return false;
  if (fault.code === 'UNAUTHORIZED') return attempt < 2;
  if (unansweredMs !== undefined && unansweredMs >= SLOW_COMMIT_MS) return attempt < 2;
  return PASSING.has(fault.code);
}
