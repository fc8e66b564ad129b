import { setTimeout as pause } from 'node:timers/promises';

import type { Fault, FaultCode } from '../fault.ts';

/** Most attempts to upload one blob in one delivery. */
export const MAX_UPLOAD_ATTEMPTS = 4;

/** Milliseconds to wait before attempt number `attempt` (2, 3, 4). */
export type BackOff = (attempt: number) => number;

/** Full jitter over 0.5 s, 1 s, 2 s: at most 3.5 s in total, so a delivery is not spent on waiting. */
export function defaultBackOff(attempt: number): number {
  return Math.random() * 500 * 2 ** (attempt - 2);
}

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
export function mayRestart(fault: Fault, attempt: number, untilEndMs: number): boolean {
  if (attempt >= MAX_UPLOAD_ATTEMPTS) return false;
  if (WRONG_BYTES.has(fault.code)) return attempt < 2;
  if (fault.side === 'source') return false;
  if (fault.code === 'UNAUTHORIZED') return attempt < 2;
  if ((fault.retryAfterMs ?? 0) > untilEndMs) return false;
  return PASSING.has(fault.code);
}

/** Waits before the next attempt; ends early, without an error, when the signal aborts. */
export async function backOff(delayMs: number, signal: AbortSignal): Promise<void> {
  if (delayMs <= 0) return;
  await pause(delayMs, undefined, { signal }).catch(() => undefined);
}
