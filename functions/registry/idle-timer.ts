/** A timer that runs only while we wait for the other side. */
export interface IdleTimer {
  /** We wait from now (anew). */
  wait(): void;
  /** The other side waits for us, or nothing is going on. */
  rest(): void;
}

/**
 * Calls `onIdle` where one wait lasts `limitMs`. A socket's own timeout would also count the time
 * in which we ourselves hold a stream back.
 */
export function idleTimer(limitMs: number, onIdle: () => void): IdleTimer {
  let timer: NodeJS.Timeout | undefined;
  return {
    wait() {
      clearTimeout(timer);
      timer = setTimeout(onIdle, limitMs);
    },
    rest() {
      clearTimeout(timer);
    },
  };
}
