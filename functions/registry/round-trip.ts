import { defined } from '../contract/fields.ts';
import { MirrorError } from '../errors.ts';
import { parseErrorBody } from '../oci/error-body.ts';
import { readBody, readErrorBody } from './body.ts';
import { failure, type Answer, type OpenAnswer } from './failure.ts';
import type { AdaptiveLimiter, Load, Permit } from './limiter.ts';
import { bodyBytes, isReplayable, type ClientParts, type RegistryRequest } from './request.ts';
import { isThrottled, pullsLeft } from './rate-limit.ts';
import { parseRetryAfter } from './retry-after.ts';
import { isPassingStatus, throttlePauseMs } from './retry-policy.ts';
import type { TransportResponse } from './transport.ts';

/** One exchange of a request: where it goes and what it presents. */
export interface Hop {
  readonly url: URL;
  /** Path and query to send in place of the URL's. */
  readonly rawPath?: string | undefined;
  /** Redirects followed so far. */
  readonly number: number;
  /** Value of the Authorization header. */
  readonly authorization: string | undefined;
  /** Which try of the request this is, from 1. */
  readonly attempt: number;
  /** A 200 or 206 is left open. */
  readonly keepOpen: boolean;
}

/**
 * Longest time for a request without a blob, its answer included. A list page of 32 MiB comes within
 * it at 280 KiB/s; what stands still is ended earlier by the idle limits. Blobs have no limit in
 * total: only their idle limits and the delivery's deadline end them.
 */
const SMALL_BUDGET_MS = 120_000;
const DEFAULT_MAX_BYTES = 64 * 1024;

/**
 * Makes one exchange. It holds a place among its origin's starts until the answer's header came, or
 * until an upload's body begins to flow; never while a body flows.
 * @throws MirrorError `RATE_LIMITED`, `SERVER_ERROR` and `TIMEOUT` for answers that may pass, and those of
 *   the transport and the limiter
 */
export async function exchangeOnce(
  parts: ClientParts,
  request: RegistryRequest,
  hop: Hop,
  signal: AbortSignal,
): Promise<OpenAnswer | Answer> {
  const { transport, limiterOf, deadlineAtMs } = parts;
  const limiter = limiterOf(hop.url.origin);
  const latestAtMs = Math.min(
    deadlineAtMs ?? Infinity,
    parts.timing.now() + (request.patienceMs ?? Infinity),
  );
  const permit = await limiter.acquire(latestAtMs, signal, request.kind === 'manifest');
  if (request.mayStart?.() === false) {
    permit.free();
    throw new MirrorError('ABORTED', 'its turn came too late');
  }
  const count = counter(parts, request, hop);
  let response: TransportResponse;
  try {
    response = await transport.send(
      {
        method: request.method,
        url: hop.url,
        rawPath: hop.rawPath,
        headers: headersOf(request, hop),
        body: request.body,
        mayRepeat: request.mayStart,
        ...(hop.keepOpen || !isReplayable(request) ? {} : { budgetMs: SMALL_BUDGET_MS }),
        onBodyFlow: () => {
          permit.free();
        },
      },
      signal,
    );
  } catch (error) {
    count(0, 0);
    permit.learn(signal.aborted ? 'aborted' : loadOf(error));
    permit.free();
    throw error;
  }
  const { status } = response;
  // Closed before the place is given back: nobody slips through while the body, which may say more, is read.
  if (status === 429) limiter.close(parts.retryPolicy.baseMs);
  permit.free();
  if (hop.keepOpen && (status === 200 || status === 206)) {
    permit.learn('ok');
    return { status, header: response.header, url: hop.url, ...open(response, permit, count) };
  }
  return readAnswer(parts, request, hop, { response, limiter, permit, count });
}

type Count = (status: number, receivedBytes: number) => void;

interface Received {
  readonly response: TransportResponse;
  readonly limiter: AdaptiveLimiter;
  readonly permit: Permit;
  readonly count: Count;
}

/** Reads a small answer; throttling and server errors end as faults. */
async function readAnswer(
  parts: ClientParts,
  request: RegistryRequest,
  hop: Hop,
  { response, limiter, permit, count }: Received,
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
    permit.learn(loadOf(error));
    throw error;
  }
  count(status, body.length);
  const answer: Answer = { status, header, body, url: hop.url };
  request.onAnswer?.(answer);
  const nowMs = parts.timing.now();
  const retryAfterMs = parseRetryAfter(header('retry-after'), nowMs);
  if (isThrottled(answer)) {
    const { message } = parseErrorBody(body);
    const pauseMs = throttlePauseMs(
      { retryAfterMs, message },
      hop.attempt,
      nowMs,
      parts.random(),
      parts.retryPolicy,
    );
    limiter.close(pauseMs);
    permit.learn('congested');
    // Docker Hub names its window only: with nothing left in it there is no use in asking again.
    const left = pullsLeft(header, parts.registry.host);
    const windowMs = left?.count === 0 ? (retryAfterMs ?? left.windowMs ?? 0) : 0;
    throw failure(answer, asked, 'RATE_LIMITED', Math.max(pauseMs, windowMs));
  }
  permit.learn(isPassingStatus(status) ? 'congested' : 'ok');
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

function headersOf(request: RegistryRequest, hop: Hop): Readonly<Record<string, string>> {
  const sends = request.method === 'POST' || request.method === 'PUT';
  return {
    ...request.headers,
    ...(sends ? { 'content-length': String(bodyBytes(request)) } : {}),
    ...defined({ authorization: hop.authorization }),
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

/** The body of an open answer; it is counted once, when it ended or was given up. */
function open(
  response: TransportResponse,
  permit: Permit,
  count: Count,
): Pick<OpenAnswer, 'chunks' | 'discard'> {
  let receivedBytes = 0;
  let over = false;
  function end(fault?: unknown): void {
    if (over) return;
    over = true;
    count(response.status, receivedBytes);
    if (isCongestion(fault)) permit.learn('congested');
  }
  async function* chunks(): AsyncGenerator<Buffer, void, undefined> {
    try {
      for await (const chunk of response.chunks) {
        receivedBytes += chunk.length;
        yield chunk;
      }
    } catch (error) {
      end(error);
      throw error;
    } finally {
      end();
    }
  }
  return {
    chunks: chunks(),
    discard() {
      response.discard();
      end();
    },
  };
}

/** Broken connections at high concurrency are a registry's way to say that it is too much. */
function isCongestion(error: unknown): boolean {
  return error instanceof MirrorError && (error.code === 'NETWORK' || error.code === 'TIMEOUT');
}

function loadOf(error: unknown): Load {
  return isCongestion(error) ? 'congested' : 'aborted';
}
