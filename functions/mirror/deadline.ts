/** How long a delivery may take; what has none (the job, the command line) uses {@link NO_DEADLINE}. */
export interface Deadline {
  /** Aborts when no new blob may start any more. */
  readonly lastStart: AbortSignal;
  /**
   * A blob whose bytes began before this time and that was cut by the deadline would be cut again:
   * ms since 1970.
   */
  readonly earlyUntilMs: number;
  /** When the work is cut, in ms since 1970; infinite: never. A longer pause is not waited for. */
  readonly endsAtMs: number;
}

/** Work that may take as long as it needs. */
export const NO_DEADLINE: Deadline = {
  lastStart: new AbortController().signal,
  earlyUntilMs: Number.NEGATIVE_INFINITY,
  endsAtMs: Number.POSITIVE_INFINITY,
};

/**
 * A deadline as it is for work that begins only now, since lists and questions took their time: early is the
 * first third of what is left.
 */
export function fromNow(deadline: Deadline, nowMs: number): Deadline {
  const { earlyUntilMs, endsAtMs } = deadline;
  if (!Number.isFinite(endsAtMs) || !Number.isFinite(earlyUntilMs)) return deadline;
  return { ...deadline, earlyUntilMs: Math.max(earlyUntilMs, nowMs + (endsAtMs - nowMs) / 3) };
}
