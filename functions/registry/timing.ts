import { Fault, isFault } from '../fault.ts';

/** The time of everything that waits here; injected, so that tests own it. */
export interface Timing {
  /** Milliseconds since 1970. */
  now(): number;
  /** Calls `action` once after `delayMs`; the answer takes it back. */
  setTimer(delayMs: number, action: () => void): () => void;
}

/** The machine's clock and timers. */
export const SYSTEM_TIMING: Timing = {
  now: Date.now,
  setTimer(delayMs, action) {
    const timer = setTimeout(action, delayMs);
    return () => {
      clearTimeout(timer);
    };
  },
};

/** Waits; ends early with the signal's fault. */
export function sleep(timing: Timing, delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(abortFault(signal));
      return;
    }
    const stop = timing.setTimer(delayMs, () => {
      signal.removeEventListener('abort', onAbort);
      resolve();
    });
    function onAbort(): void {
      stop();
      reject(abortFault(signal));
    }
    signal.addEventListener('abort', onAbort, { once: true });
  });
}

/** Settles as `promise` does, or with the signal's fault where that comes first; `promise` itself goes on. */
export function raceSignal<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    function onAbort(): void {
      reject(abortFault(signal));
    }
    if (signal.aborted) {
      onAbort();
      promise.catch(() => undefined);
      return;
    }
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => {
      signal.removeEventListener('abort', onAbort);
    });
  });
}

/** Why a signal was aborted: its reason where that is a fault, else `ABORTED`. */
export function abortFault(signal: AbortSignal): Fault {
  const reason: unknown = signal.reason;
  return isFault(reason) ? reason : new Fault('ABORTED', 'the work was interrupted');
}
