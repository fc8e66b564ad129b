import { abortFault } from './timing.ts';

/** Blob streams of the process at once: what its memory and sockets are counted for. */
export const MAX_STREAMS = 16;
/** Of these, kept for small blobs, so that a config never waits for layers. */
const SMALL_RESERVE = 4;
/** Blobs below this are small. */
const SMALL_BYTES = 1024 * 1024;

/** Hands out the right to stream a blob. */
export interface StreamPermits {
  /** Waits for a permit; the answer gives it back. */
  acquire(sizeBytes: number, signal: AbortSignal): Promise<() => void>;
}

/** @param max permits; large blobs get at most a quarter less */
export function streamPermits(max: number = MAX_STREAMS): StreamPermits {
  const maxLarge = Math.max(1, max - SMALL_RESERVE);
  let held = 0;
  let large = 0;
  const queue: { readonly isLarge: boolean; readonly grant: () => void }[] = [];

  function pump(): void {
    for (;;) {
      const next = queue.findIndex(({ isLarge }) => held < max && (!isLarge || large < maxLarge));
      if (next === -1) return;
      const [waiter] = queue.splice(next, 1);
      held += 1;
      if (waiter?.isLarge === true) large += 1;
      waiter?.grant();
    }
  }

  function giveBack(isLarge: boolean): () => void {
    let given = false;
    return () => {
      if (given) return;
      given = true;
      held -= 1;
      if (isLarge) large -= 1;
      pump();
    };
  }

  return {
    acquire(sizeBytes, signal) {
      const isLarge = sizeBytes >= SMALL_BYTES;
      return new Promise((resolve, reject) => {
        if (signal.aborted) {
          reject(abortFault(signal));
          return;
        }
        const waiter = {
          isLarge,
          grant() {
            signal.removeEventListener('abort', onAbort);
            resolve(giveBack(isLarge));
          },
        };
        function onAbort(): void {
          const at = queue.indexOf(waiter);
          if (at !== -1) queue.splice(at, 1);
          reject(abortFault(signal));
        }
        signal.addEventListener('abort', onAbort, { once: true });
        queue.push(waiter);
        pump();
      });
    },
  };
}
