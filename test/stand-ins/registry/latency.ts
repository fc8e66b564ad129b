import { setTimeout as pause } from 'node:timers/promises';
import type { Handler } from './exchange.ts';

/**
 * Adds a round trip to each request: half before it is seen, half before its answer is.
 *
 * @param wait waits so many milliseconds; injected, so that tests own the time
 */
export function withLatency(
  handler: Handler,
  rttMs: () => number,
  wait: (ms: number) => Promise<unknown> = pause,
): Handler {
  return async (request) => {
    const halfMs = rttMs() / 2;
    if (halfMs > 0) await wait(halfMs);
    const answer = await handler(request);
    if (halfMs > 0) await wait(halfMs);
    return answer;
  };
}
