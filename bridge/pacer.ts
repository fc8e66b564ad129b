/** Lets so many through a second; see {@link createPacer}. */
export interface Pacer {
  /** How many may pass now. */
  available(nowMs: number): number;
  /** Counts those that passed. */
  spend(count: number): void;
  /** Time until the next may pass, ms; 0 where one may now. */
  waitMs(nowMs: number): number;
}

/** A token bucket that holds one second's worth; `ratePerSecond` 0 lets everything through. */
export function createPacer(ratePerSecond: number, startMs: number): Pacer {
  if (ratePerSecond === 0) {
    return { available: () => Infinity, spend: () => undefined, waitMs: () => 0 };
  }
  let tokens = 1;
  let filledAtMs = startMs;
  function fill(nowMs: number): void {
    tokens = Math.min(ratePerSecond, tokens + ((nowMs - filledAtMs) / 1000) * ratePerSecond);
    filledAtMs = nowMs;
  }
  return {
    available(nowMs) {
      fill(nowMs);
      return Math.floor(tokens);
    },
    spend(count) {
      tokens -= count;
    },
    waitMs(nowMs) {
      fill(nowMs);
      return Math.max(0, Math.ceil(((1 - tokens) / ratePerSecond) * 1000));
    },
  };
}
