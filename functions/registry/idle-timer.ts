/** A timer that runs only while we wait for the other side. */
export interface IdleTimer {
  /** We wait from now (anew). */
  wait(): void;
  /** The other side waits for us, or nothing is going on. */
  rest(): void;
  /** Ends the timer for good. */
  stop(): void;
}

/**
 * Calls `onIdle` once where one wait lasts `limitMs`. A socket's own timeout would also count the
 * time in which we ourselves hold a stream back. Waits are noted, not timed one by one: there are
 * thousands of them in a second.
 * @param now a clock in milliseconds that only goes forward
 */
export function idleTimer(
  limitMs: number,
  onIdle: () => void,
  now: () => number = () => performance.now(),
): IdleTimer {
  let waitingSinceMs: number | undefined;
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;

  function look(): void {
    const waitedMs = waitingSinceMs === undefined ? 0 : now() - waitingSinceMs;
    if (waitedMs < limitMs) timer = setTimeout(look, limitMs - waitedMs);
    else onIdle();
  }

  return {
    wait() {
      waitingSinceMs = now();
      if (!stopped) timer ??= setTimeout(look, limitMs);
    },
    rest() {
      waitingSinceMs = undefined;
    },
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}
