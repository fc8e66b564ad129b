import { Fault } from '../fault.ts';
import { parseErrorBody } from '../oci/error-body.ts';
import { readBody, readErrorBody } from './body.ts';
import { failure, type Answer } from './failure.ts';
import type { Gate, Slot, Verdict } from './gate.ts';
import {
  bodyBytes,
  isReplayable,
  type ClientParts,
  type OpenAnswer,
  type RegistryRequest,
} from './request.ts';
import { parseRetryAfter } from './retry-after.ts';
import { isPassingStatus, throttlePauseMs } from './retry-policy.ts';
import type { TransportResponse } from './transport.ts';

/** One exchange of a request: where it goes and what it presents. */
export interface Hop {
  readonly url: URL;
  /** Redirects followed so far. */
  readonly number: number;
  /** Value of the Authorization header. */
  readonly authorization: string | undefined;
  /** Which try of the request this is, from 1. */
  readonly attempt: number;
  /** A 200 or 206 is left open. */
  readonly keepOpen: boolean;
}

/** Attempt budget: 30 s and a second per MiB; slower than 1 MiB/s is not worth waiting for. */
const ATTEMPT_BASE_MS = 30_000;
const ATTEMPT_BYTES_PER_MS = (1024 * 1024) / 1000;
const DEFAULT_MAX_BYTES = 64 * 1024;

/** How long one attempt may take that moves `sizeBytes`. */
export function attemptBudgetMs(sizeBytes: number): number {
  return ATTEMPT_BASE_MS + Math.max(0, sizeBytes) / ATTEMPT_BYTES_PER_MS;
}

/**
 * Makes one exchange within a slot of its origin's gate. An open answer holds the slot until its
 * body ended or was given up; every other answer is read whole.
 * @throws Fault `RATE_LIMITED`, `SERVER_ERROR` and `TIMEOUT` for answers that may pass, and those of
 *   the transport and the gate
 */
export async function exchangeOnce(
  parts: ClientParts,
  request: RegistryRequest,
  hop: Hop,
  signal: AbortSignal,
): Promise<OpenAnswer | Answer> {
  const { transport, gateOf, deadlineAtMs } = parts;
  const gate = gateOf(hop.url.origin);
  const stream = hop.keepOpen || !isReplayable(request);
  const slot = await gate.acquire({ stream, deadlineAtMs }, signal);
  const count = counter(parts, request, hop);
  let response: TransportResponse;
  try {
    response = await transport.send(
      {
        method: request.method,
        url: hop.url,
        headers: headersOf(request, hop),
        body: request.body,
        budgetMs: attemptBudgetMs(request.sizeBytes ?? 0),
      },
      signal,
    );
  } catch (error) {
    count(0, 0);
    slot.release(signal.aborted ? 'abandoned' : verdictOf(error));
    throw error;
  }
  const { status } = response;
  if (hop.keepOpen && (status === 200 || status === 206)) {
    return { status, header: response.header, url: hop.url, ...held(response, slot, count) };
  }
  return readAnswer(parts, request, hop, { response, gate, slot, count });
}

type Count = (status: number, receivedBytes: number) => void;

interface Received {
  readonly response: TransportResponse;
  readonly gate: Gate;
  readonly slot: Slot;
  readonly count: Count;
}

/** Reads a small answer; throttling and server errors end as faults. */
async function readAnswer(
  parts: ClientParts,
  request: RegistryRequest,
  hop: Hop,
  { response, gate, slot, count }: Received,
): Promise<Answer> {
  const { status, header } = response;
  const asked = { operation: request.operation, side: parts.side };
  let body: Buffer;
  try {
    body =
      status < 400
        ? await readBody(response, request.maxBytes ?? DEFAULT_MAX_BYTES)
        : await readErrorBody(response);
  } catch (error) {
    count(status, 0);
    slot.release(verdictOf(error));
    throw error;
  }
  count(status, body.length);
  const answer: Answer = { status, header, body, url: hop.url };
  const nowMs = parts.timing.now();
  const retryAfterMs = parseRetryAfter(header('retry-after'), nowMs);
  if (isThrottled(answer)) {
    const { message } = parseErrorBody(body);
    const pauseMs = throttlePauseMs({ retryAfterMs, message }, hop.attempt, nowMs, parts.random());
    // Closed before the place is given back: nobody slips through.
    gate.close(pauseMs);
    slot.release('congested');
    throw failure(answer, asked, 'RATE_LIMITED', pauseMs);
  }
  slot.release(isPassingStatus(status) ? 'congested' : 'answered');
  if (isPassingStatus(status) && !isJudgedByBody(request, answer)) {
    throw failure(answer, asked, undefined, retryAfterMs);
  }
  return answer;
}

/** A refused manifest may come as a server error whose body says what is missing. */
function isJudgedByBody({ kind, method }: RegistryRequest, { body }: Answer): boolean {
  if (kind !== 'manifest' || method !== 'PUT') return false;
  return parseErrorBody(body).codes.some((code) => code.endsWith('_UNKNOWN'));
}

/** 429, or the code of throttling under a status that some registries choose for it. */
function isThrottled({ status, body }: Answer): boolean {
  if (status === 429) return true;
  if (status !== 403 && status !== 503) return false;
  return parseErrorBody(body).codes.includes('TOOMANYREQUESTS');
}

function headersOf(request: RegistryRequest, hop: Hop): Readonly<Record<string, string>> {
  const sends = request.method === 'POST' || request.method === 'PUT';
  return {
    ...request.headers,
    ...(sends ? { 'content-length': String(bodyBytes(request)) } : {}),
    ...(hop.authorization === undefined ? {} : { authorization: hop.authorization }),
  };
}

function counter(parts: ClientParts, request: RegistryRequest, hop: Hop): Count {
  const { side, onExchange, timing } = parts;
  const startedAtMs = timing.now();
  return (status, receivedBytes) => {
    onExchange({
      side,
      host: hop.url.host,
      kind: request.kind,
      method: request.method,
      status,
      hop: hop.number,
      receivedBytes,
      sentBytes: status !== 0 && status < 400 ? bodyBytes(request) : 0,
      durationMs: timing.now() - startedAtMs,
    });
  };
}

/** The body of an open answer, holding its slot until it ended or was given up. */
function held(
  response: TransportResponse,
  slot: Slot,
  count: Count,
): Pick<OpenAnswer, 'chunks' | 'discard'> {
  let receivedBytes = 0;
  let over = false;
  function end(verdict: Verdict): void {
    if (over) return;
    over = true;
    count(response.status, receivedBytes);
    slot.release(verdict);
  }
  async function* chunks(): AsyncGenerator<Buffer, void, undefined> {
    try {
      for await (const chunk of response.chunks) {
        receivedBytes += chunk.length;
        yield chunk;
      }
      end('answered');
    } catch (error) {
      end(verdictOf(error));
      throw error;
    } finally {
      end('abandoned');
    }
  }
  return {
    chunks: chunks(),
    discard() {
      response.discard();
      end('abandoned');
    },
  };
}

/** Broken connections at high concurrency are a registry's way to say that it is too much. */
function verdictOf(error: unknown): Verdict {
  return error instanceof Fault && (error.code === 'NETWORK' || error.code === 'TIMEOUT')
    ? 'congested'
    : 'abandoned';
}
