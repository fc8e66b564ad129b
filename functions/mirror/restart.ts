import type { Fault, FaultCode } from '../fault.ts';

/** Most attempts to upload one blob in one delivery. */
export const MAX_UPLOAD_ATTEMPTS = 4;

/** Full jitter over 0.5 s, 1 s, 2 s: at most 3.5 s in total, so a delivery is not spent on waiting. */
export const RESTART_BACKOFF = { baseMs: 500, maxMs: 2000 };

const WRONG_BYTES: ReadonlySet<FaultCode> = new Set(['DIGEST_MISMATCH', 'SIZE_MISMATCH']);
const PASSING: ReadonlySet<FaultCode> = new Set([
  'NETWORK',
  'TIMEOUT',
  'SERVER_ERROR',
  'RATE_LIMITED',
  'RESPONSE_INVALID',
]);

/**
 * Whether an upload that broke is begun again from its first byte. Only what sending again can
 * mend: the destination's own trouble up to four times; once more, bytes that missed their digest
 * or size, and an upload whose token ended under way (a body that has flowed cannot be replayed
 * by the client). A source that stays broken was already resumed by its reader.
 */
export function mayRestart(fault: Fault, attempt: number): boolean {
  if (attempt >= MAX_UPLOAD_ATTEMPTS) return false;
  if (WRONG_BYTES.has(fault.code)) return attempt < 2;
  if (fault.side === 'source') return false;
  if (fault.code === 'UNAUTHORIZED') return attempt < 2;
  return PASSING.has(fault.code);
}
