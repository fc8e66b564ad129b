import { setTimeout as sleep } from 'node:timers/promises';
import type { Handler } from './exchange.ts';

/** Adds a round trip to each request: half before it is seen, half before its answer is. */
export function withLatency(handler: Handler, rttMs: () => number): Handler {
  return async (request) => {
    const halfMs = rttMs() / 2;
    if (halfMs > 0) await sleep(halfMs);
    const answer = await handler(request);
    if (halfMs > 0) await sleep(halfMs);
    return answer;
  };
}
