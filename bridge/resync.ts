import { createHash } from 'node:crypto';

/** Where an object's moment lies in the interval, ms: the same for every replica and every start. */
export function resyncOffsetMs(uid: string, intervalMs: number): number {
  if (intervalMs === 0) return 0;
  // 48 bits are exact in a number.
  return createHash('sha256').update(uid).digest().readUIntBE(0, 6) % intervalMs;
}

/**
 * The number of the object's slot at a wall-clock time: it grows by one at the object's moment of
 * every interval, so that an object is due when the number is greater than before.
 */
export function resyncSlot(wallMs: number, offsetMs: number, intervalMs: number): number {
  return Math.floor((wallMs - offsetMs) / intervalMs);
}
