import { setTimeout as sleep } from 'node:timers/promises';

/** Between two tries; short beside the seconds a server takes to start. */
const pauseMs = 50;

/**
 * Asks until the answer is not `undefined` and returns it; an error counts as `undefined`.
 * Throws an Error that names `what`, with the last error as its cause, when the time is over.
 */
export async function poll<T>(
  what: string,
  timeoutMs: number,
  ask: () => Promise<T | undefined>,
): Promise<T> {
  const end = performance.now() + timeoutMs;
  let cause: unknown;
  do {
    try {
      const answer = await ask();
      if (answer !== undefined) return answer;
    } catch (error) {
      cause = error;
    }
    await sleep(pauseMs);
  } while (performance.now() < end);
  throw new Error(`${what}: not within ${timeoutMs} ms`, { cause });
}
