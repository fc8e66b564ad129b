import { steadyMs } from '../concurrency.ts';

/** A timer that runs only while we wait for the other side. */
export interface IdleTimer {
  /** We wait from now on. */
  wait(): void;
  /** The other side waits for us, or nothing is going on. */
  rest(): void;
  /** The other side took or gave so many bytes. */
  moved(bytes: number): void;
  /** A new wait begins, for something else than before, which may take so much longer. Default: 0. */
  restart(longerMs?: number): void;
  /** Ends the timer for good. */
  stop(): void;
}

/**
 * Bytes that must move within one limit of waiting, or the other side counts as standing still: a
 * byte now and then would keep a connection, and who waits behind it, for days. 4 KiB in 15 s are
 * 273 bytes a second; sixteen streams on a link of 1 Mbit/s have 8 KiB a second each.
 */
const MIN_MOVED_BYTES = 4096;

/**
 * Calls `onIdle` once where we waited `limitMs` in sum and fewer than {@link MIN_MOVED_BYTES} moved.
 * A socket's own timeout would also count the time in which we ourselves hold a stream back. Waits
 * are noted, not timed one by one: there are thousands of them in a second.
 * @param now a clock in milliseconds that only goes forward
 */
export function idleTimer(
  limitMs: number,
  onIdle: () => void,
  now: () => number = steadyMs,
): IdleTimer {
  let waitingSinceMs: number | undefined;
  let waitedMs = 0;
  let movedBytes = 0;
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;
  let mostMs = limitMs;

  function sumMs(): number {
    return waitedMs + (waitingSinceMs === undefined ? 0 : now() - waitingSinceMs);
  }

  function forgive(): void {
    waitedMs = 0;
    movedBytes = 0;
    if (waitingSinceMs !== undefined) waitingSinceMs = now();
  }

  function look(): void {
    timer = undefined;
    if (waitingSinceMs === undefined) return;
    if (sumMs() >= mostMs) onIdle();
    else arm();
  }

  function arm(): void {
    if (!stopped) timer ??= setTimeout(look, Math.max(1, mostMs - sumMs()));
  }

  return {
    wait() {
      waitingSinceMs ??= now();
      arm();
    },
    rest() {
      waitedMs = sumMs();
      waitingSinceMs = undefined;
    },
    moved(bytes) {
      movedBytes += bytes;
      if (movedBytes >= MIN_MOVED_BYTES) forgive();
    },
    restart(longerMs = 0) {
      mostMs = limitMs + longerMs;
      waitingSinceMs = now();
      forgive();
      arm();
    },
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}
