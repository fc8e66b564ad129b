import { requireArgument } from './refusal.ts';
import type { WireDuration, WireTimestamp } from './wire.ts';

/** A second in milliseconds. */
export const SECOND_MS = 1_000;
/** A minute in milliseconds. */
export const MINUTE_MS = 60 * SECOND_MS;
/** An hour in milliseconds. */
export const HOUR_MS = 60 * MINUTE_MS;
/** A day in milliseconds. */
export const DAY_MS = 24 * HOUR_MS;

/** Milliseconds of a `google.protobuf.Duration`. */
export function durationMs(duration: WireDuration): number {
  return Number(duration.seconds) * SECOND_MS + duration.nanos / 1e6;
}

/** Milliseconds of a duration within bounds. @throws Refusal `INVALID_ARGUMENT` naming the field */
export function durationWithin(
  duration: WireDuration,
  field: string,
  minimumMs: number,
  maximumMs: number,
): number {
  const ms = durationMs(duration);
  requireArgument(
    ms >= minimumMs && ms <= maximumMs,
    `${field} is ${ms / SECOND_MS}s: at least ${minimumMs / SECOND_MS}s, at most ${maximumMs / SECOND_MS}s are allowed`,
  );
  return ms;
}

/** A `google.protobuf.Duration` of milliseconds. */
export function toDuration(ms: number): WireDuration {
  const seconds = Math.floor(ms / SECOND_MS);
  return { seconds, nanos: Math.round((ms - seconds * SECOND_MS) * 1e6) };
}

/** Milliseconds since the epoch of a `google.protobuf.Timestamp`. */
export function timestampMs(timestamp: WireTimestamp): number {
  return durationMs(timestamp);
}

/** A `google.protobuf.Timestamp` of milliseconds since the epoch. */
export function toTimestamp(ms: number): WireTimestamp {
  return toDuration(ms);
}
