import { Fault, toFault, type Side } from '../fault.ts';
import { attemptRequest } from './attempt.ts';
import { GET_TOKEN } from './bearer.ts';
import { located, type Answer, type Asked } from './failure.ts';
import {
  isOpen,
  isReplayable,
  type ClientParts,
  type OpenAnswer,
  type RegistryRequest,
} from './request.ts';
import { NO_RETRY, retryDelayMs } from './retry-policy.ts';
import { markSentInFull, wasSentInFull } from './sent-in-full.ts';
import { sleep } from '../concurrency.ts';

/** One side's client of one registry host. */
export interface RegistryClient {
  readonly side: Side;
  /** The registry's address. */
  readonly registry: URL;
  /**
   * Asks and reads the answer whole. Throttling, server errors and broken connections are tried again
   * and end as faults; every other status is the caller's to judge.
   */
  ask(request: RegistryRequest, signal: AbortSignal): Promise<Answer>;
  /** As `ask`, but a 200 or 206 stays open; every other answer comes read, as `Answer`. */
  open(request: RegistryRequest, signal: AbortSignal): Promise<OpenAnswer | Answer>;
}

/** A client over the parts: authorization, gate, redirects and retries in one place. */
export function openClient(parts: ClientParts): RegistryClient {
  return {
    side: parts.side,
    registry: parts.registry,
    async ask(request, signal) {
      const answer = await withRetries(parts, request, false, signal);
      if (isOpen(answer)) throw new Error('an answer was left open');
      return answer;
    },
    open: (request, signal) => withRetries(parts, request, true, signal),
  };
}

/** The only place that repeats a request; what is sent from a stream is repeated by whoever has the stream. */
async function withRetries(
  parts: ClientParts,
  request: RegistryRequest,
  keepOpen: boolean,
  signal: AbortSignal,
): Promise<OpenAnswer | Answer> {
  const { retryPolicy, timing, random, deadlineAtMs = Infinity } = parts;
  const policy = isReplayable(request) ? retryPolicy : NO_RETRY;
  for (let attempt = 1; ; attempt++) {
    try {
      return await attemptRequest(parts, request, { attempt, keepOpen }, signal);
    } catch (error) {
      const fault = complete(error, parts, request);
      const ownMs = retryDelayMs(policy, attempt, fault, random());
      const delayMs =
        ownMs === undefined ? undefined : Math.max(ownMs, realmPauseMs(fault, request));
      const tooLong = (fault.retryAfterMs ?? 0) > (request.patienceMs ?? Infinity);
      const hopeless = delayMs === undefined || tooLong || timing.now() + delayMs > deadlineAtMs;
      if (hopeless || signal.aborted) throw fault;
      if (delayMs > 0 && fault.retryAfterMs !== undefined) {
        const { host } = parts.registry;
        parts.onPause?.({ side: parts.side, host, untilMs: timing.now() + delayMs });
      }
      await sleep(timing, delayMs, signal);
    }
  }
}

/** The pause that the realm of a token asked for: the starts of the registry itself are not closed for it. */
function realmPauseMs({ operation, retryAfterMs = 0 }: Fault, { kind }: RegistryRequest): number {
  return kind !== 'token' && operation === GET_TOKEN ? retryAfterMs : 0;
}

/** What was thrown, as a fault that says what was asked, of whom. */
function complete(error: unknown, parts: ClientParts, request: RegistryRequest): Fault {
  const asked: Asked = { operation: request.operation, side: parts.side };
  const fault = located(
    toFault(error, request.operation),
    asked,
    new URL(request.target, parts.registry),
  );
  if (error instanceof Fault && wasSentInFull(error)) markSentInFull(fault);
  return fault;
}
