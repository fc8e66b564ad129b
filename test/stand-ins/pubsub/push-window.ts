/**
 * How many push requests may be outstanding: it starts small and follows the share of successes
 * (Pub/Sub, "Push subscriptions", delivery rate). Each success adds one place, so that the window
 * doubles with each round of successes; each failure takes a tenth of it. Nothing else limits
 * outstanding requests.
 */
export class PushWindow {
  /** "A small single-digit window size". */
  static readonly START = 5;
  /** The largest window of a subscription in one region. */
  static readonly LARGEST = 3_000;
  /** Share of the window that a failure costs. */
  static readonly LOSS = 0.1;

  #size: number = PushWindow.START;

  /** Requests that may be outstanding now, at least 1. */
  get size(): number {
    return Math.floor(this.#size);
  }

  /** A request was acknowledged. */
  succeeded(): void {
    this.#size = Math.min(this.#size + 1, PushWindow.LARGEST);
  }

  /** A request was refused, or its deadline passed. */
  failed(): void {
    this.#size = Math.max(this.#size * (1 - PushWindow.LOSS), 1);
  }
}

/**
 * The pause of a whole push subscription that has no retry policy, after so many failures in a row:
 * 100 ms, doubled up to 60 s (Pub/Sub, "Push subscriptions", push backoff). Messages of a
 * subscription with a retry policy wait each by itself.
 */
export function pushPauseMs(failuresInARow: number): number {
  return failuresInARow === 0 ? 0 : Math.min(100 * 2 ** Math.min(failuresInARow - 1, 20), 60_000);
}
