/**
 * Longest wait that is waited, in milliseconds: 10 minutes. Quotas of registries count minutes
 * (Artifact Registry); what is asked to wait longer (Docker Hub's 6 hours) ends at once as
 * `RATE_LIMITED` that says for how long, and comes again with a later delivery.
 */
export const MAX_PAUSE_MS = 10 * 60_000;
/** Longest pause that is repeated in a fault: a year. */
const MAX_TOLD_MS = 365 * 24 * 60 * 60_000;

/** RFC 9110 §5.6.7: the two living forms of an HTTP date that start with a weekday. */
const HTTP_DATE = /^[A-Za-z]{3,9},? .*\d{2}:\d{2}:\d{2}/;

/**
 * How long `Retry-After` asks to wait (RFC 9110 §10.2.3: seconds or a date), in milliseconds from
 * `nowMs`, 0 to a year; undefined where the header is absent or makes no sense.
 */
export function parseRetryAfter(header: string | undefined, nowMs: number): number | undefined {
  const text = header?.trim() ?? '';
  if (/^\d{1,15}$/.test(text)) return clamp(Number(text) * 1000);
  if (!HTTP_DATE.test(text)) return undefined;
  const atMs = Date.parse(text);
  return Number.isNaN(atMs) ? undefined : clamp(atMs - nowMs);
}

function clamp(delayMs: number): number {
  return Math.min(Math.max(delayMs, 0), MAX_TOLD_MS);
}
