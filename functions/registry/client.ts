import { Fault, toFault, type Side } from '../fault.ts';
import { parseErrorBody } from '../oci/error-body.ts';
import type { AccessScope, Authorization, Authorizer } from './authorizer.ts';
import { readBody, readErrorBody } from './body.ts';
import type { ExchangeKind, OnExchange } from './exchange.ts';
import { failure, located, type Answer, type Asked } from './failure.ts';
import type { Gate, Slot, Verdict } from './gate.ts';
import { isRedirect, nextHop } from './redirect-policy.ts';
import { parseRetryAfter } from './retry-after.ts';
import {
  isPassingStatus,
  NO_RETRY,
  retryDelayMs,
  throttlePauseMs,
  type RetryPolicy,
} from './retry-policy.ts';
import { sleep, type Timing } from './timing.ts';
import {
  wasSentInFull,
  type StreamBody,
  type Transport,
  type TransportResponse,
} from './transport.ts';

/** One question to a registry. */
export interface RegistryRequest {
  readonly kind: ExchangeKind;
  /** Verb and object, for errors: `get manifest`. */
  readonly operation: string;
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT';
  /** Below the registry's address, such as `/v2/org/app/tags/list`, or a whole URL. */
  readonly target: string | URL;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer | StreamBody;
  /** What is to be allowed; undefined: nothing is presented (a capability URL, a foreign host). */
  readonly scope: AccessScope | undefined;
  /** Expected size of what moves, for the attempt's budget. */
  readonly sizeBytes?: number;
  /** Cap of the answer's body; default 64 KiB. */
  readonly maxBytes?: number;
  /** Gives up at the first failure. */
  readonly once?: boolean;
  /** False: an answer that redirects is refused. */
  readonly redirects?: boolean;
}

/** An answer whose body flows. Whoever does not read it to the end calls `discard`. */
export interface OpenAnswer {
  readonly status: number;
  readonly header: (name: string) => string | undefined;
  readonly url: URL;
  readonly chunks: AsyncIterable<Buffer>;
  readonly discard: () => void;
}

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

/** What a client is made of. */
export interface ClientParts {
  readonly side: Side;
  readonly registry: URL;
  readonly transport: Transport;
  readonly authorizer: Authorizer;
  readonly gateOf: (origin: string) => Gate;
  readonly timing: Timing;
  readonly retryPolicy: RetryPolicy;
  readonly random: () => number;
  readonly onExchange: OnExchange;
  /** When the work that this client is for must have ended, on the timing's clock. */
  readonly deadlineAtMs: number | undefined;
}

/** Attempt budget: 30 s and a second per MiB; slower than 1 MiB/s is not worth waiting for. */
const ATTEMPT_BASE_MS = 30_000;
const ATTEMPT_BYTES_PER_MS = (1024 * 1024) / 1000;
const DEFAULT_MAX_BYTES = 64 * 1024;
/** Refusals that may be answered by presenting something else, per request. */
const MAX_AUTHORIZATIONS = 3;

/** Whether an open answer still has its body to come. */
export function isOpen(answer: OpenAnswer | Answer): answer is OpenAnswer {
  return 'chunks' in answer;
}

/** How long one attempt may take. */
export function attemptBudgetMs(sizeBytes: number): number {
  return ATTEMPT_BASE_MS + Math.max(0, sizeBytes) / ATTEMPT_BYTES_PER_MS;
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

async function withRetries(
  parts: ClientParts,
  request: RegistryRequest,
  keepOpen: boolean,
  signal: AbortSignal,
): Promise<OpenAnswer | Answer> {
  const asked: Asked = { operation: request.operation, side: parts.side };
  const url = new URL(request.target, parts.registry);
  const replayable = request.body === undefined || Buffer.isBuffer(request.body);
  const policy = replayable && request.once !== true ? parts.retryPolicy : NO_RETRY;
  for (let attempt = 1; ; attempt++) {
    try {
      return await new Attempt(parts, request, attempt, signal).run(keepOpen);
    } catch (error) {
      const fault = located(toFault(error, request.operation), asked, url);
      if (error instanceof Fault && wasSentInFull(error)) markSentInFull(fault);
      const delayMs = retryDelayMs(policy, attempt, fault, parts.random());
      if (delayMs === undefined || signal.aborted) throw fault;
      const { deadlineAtMs } = parts;
      if (deadlineAtMs !== undefined && parts.timing.now() + delayMs > deadlineAtMs) throw fault;
      await sleep(parts.timing, delayMs, signal);
    }
  }
}

const answeredLate = new WeakSet<Fault>();

function markSentInFull(fault: Fault): void {
  answeredLate.add(fault);
}

/** Whether the registry may have acted on the whole body although it gave no good answer. */
export function mayHaveArrived(fault: Fault): boolean {
  return answeredLate.has(fault) || wasSentInFull(fault);
}

/** One try of a request: its authorizations and redirects, up to an answer or a fault. */
class Attempt {
  readonly #parts: ClientParts;
  readonly #request: RegistryRequest;
  readonly #attempt: number;
  readonly #signal: AbortSignal;
  readonly #asked: Asked;

  constructor(parts: ClientParts, request: RegistryRequest, attempt: number, signal: AbortSignal) {
    this.#parts = parts;
    this.#request = request;
    this.#attempt = attempt;
    this.#signal = signal;
    this.#asked = { operation: request.operation, side: parts.side };
  }

  async run(keepOpen: boolean): Promise<OpenAnswer | Answer> {
    const { authorizer, registry } = this.#parts;
    const { scope } = this.#request;
    let url = new URL(this.#request.target, registry);
    let pinged = false;
    for (let hops = 0, authorizations = 0; ;) {
      const own = scope !== undefined && url.origin === registry.origin ? scope : undefined;
      const used = own && (await authorizer.authorize(own, this.#signal));
      let answer: OpenAnswer | Answer;
      try {
        answer = await this.#send(url, hops, used, keepOpen);
        if (used !== undefined && answer.status < 400) authorizer.accepted(used);
        else if (used !== undefined && own !== undefined && !isOpen(answer)) {
          const again = await this.#refused(used, own, answer, pinged, authorizations);
          if (again !== 'no') {
            pinged ||= again === 'pinged';
            authorizations += 1;
            continue;
          }
        }
      } finally {
        used?.settled();
      }
      if (isRedirect(answer.status)) {
        // guard: token-redirect
        if (this.#request.redirects === false)
          throw failure(answer as Answer, this.#asked, 'REDIRECT_REFUSED');
        const hop = nextHop({
          from: url,
          location: answer.header('location'),
          method: this.#request.method,
          hops,
          credentialsOrigin: registry.origin,
        });
        hops += 1;
        url = hop.url;
        continue;
      }
      return answer;
    }
  }

  /** Whether presenting something else may help. */
  async #refused(
    used: Authorization,
    scope: AccessScope,
    answer: Answer,
    pinged: boolean,
    authorizations: number,
  ): Promise<'no' | 'again' | 'pinged'> {
    const { authorizer } = this.#parts;
    const refused = answer.status === 401 || answer.status === 403;
    if (!refused) {
      if (answer.status === 404) authorizer.accepted(used);
      return 'no';
    }
    // The standard way was refused like the short one: the short one was not the reason.
    if (pinged) authorizer.keepPreemptive();
    if (pinged || authorizations >= MAX_AUTHORIZATIONS) return 'no';
    // A body that has begun to flow cannot be sent again.
    const learns = answer.status === 401 || authorizer.preemptive;
    if (!learns) return 'no';
    const challenge =
      answer.status === 401 ? answer.header('www-authenticate') : await this.#ping();
    if (!authorizer.refused(used, scope, challenge)) return 'no';
    if (!this.#isReplayable()) return 'no';
    return answer.status === 401 ? 'again' : 'pinged';
  }

  #isReplayable(): boolean {
    return this.#request.body === undefined || Buffer.isBuffer(this.#request.body);
  }

  /** Asks for the registry's challenge: a 403 brings none. */
  async #ping(): Promise<string | undefined> {
    const ping = await this.#send(new URL('/v2/', this.#parts.registry), 0, undefined, false, true);
    return ping.header('www-authenticate');
  }

  /** One exchange, within a slot of its origin's gate. */
  async #send(
    url: URL,
    hop: number,
    used: Authorization | undefined,
    keepOpen: boolean,
    ping = false,
  ): Promise<OpenAnswer | Answer> {
    const { transport, gateOf, deadlineAtMs, timing } = this.#parts;
    const { body: wantedBody, sizeBytes = 0 } = this.#request;
    const method = ping ? 'GET' : this.#request.method;
    const body = ping ? undefined : wantedBody;
    const gate = gateOf(url.origin);
    const stream = keepOpen || (body !== undefined && !Buffer.isBuffer(body));
    const slot = await gate.acquire({ stream, deadlineAtMs }, this.#signal);
    const count = this.#counter(url, hop, method, ping ? 'ping' : this.#request.kind, timing.now());
    let response: TransportResponse;
    try {
      response = await transport.send(
        {
          method,
          url,
          headers: this.#headers(used, body),
          body,
          budgetMs: attemptBudgetMs(sizeBytes),
        },
        this.#signal,
      );
    } catch (error) {
      count(0, 0);
      slot.release(this.#signal.aborted ? 'abandoned' : verdictOf(error));
      throw error;
    }
    const { status } = response;
    if (keepOpen && (status === 200 || status === 206)) {
      return { status, header: response.header, url, ...held(response, slot, count) };
    }
    try {
      return await this.#read(response, url, gate, slot, count);
    } finally {
      slot.release('abandoned');
    }
  }

  /** Reads a small answer; throttling and server errors end as faults. */
  async #read(
    response: TransportResponse,
    url: URL,
    gate: Gate,
    slot: Slot,
    count: (status: number, receivedBytes: number) => void,
  ): Promise<Answer> {
    const { status, header } = response;
    const good = status < 400;
    let body: Buffer;
    try {
      body = good
        ? await readBody(response, this.#request.maxBytes ?? DEFAULT_MAX_BYTES)
        : await readErrorBody(response);
    } catch (error) {
      count(status, 0);
      slot.release(verdictOf(error));
      throw error;
    }
    count(status, body.length);
    const answer: Answer = { status, header, body, url };
    const { timing, random } = this.#parts;
    const retryAfterMs = parseRetryAfter(header('retry-after'), timing.now());
    if (isThrottled(answer)) {
      const { message } = parseErrorBody(body);
      const pauseMs = throttlePauseMs(
        { retryAfterMs, message },
        this.#attempt,
        timing.now(),
        random(),
      );
      slot.release('congested');
      gate.close(pauseMs);
      throw failure(answer, this.#asked, 'RATE_LIMITED', pauseMs);
    }
    slot.release(status >= 500 ? 'congested' : 'answered');
    if (isPassingStatus(status) && !this.#isJudgedByBody(answer)) {
      throw failure(answer, this.#asked, undefined, retryAfterMs);
    }
    return answer;
  }

  /** A refused manifest may come as a server error whose body says what is missing. */
  #isJudgedByBody(answer: Answer): boolean {
    return (
      this.#request.kind === 'manifest' &&
      this.#request.method === 'PUT' &&
      parseErrorBody(answer.body).codes.some((code) => code.endsWith('_UNKNOWN'))
    );
  }

  #headers(
    used: Authorization | undefined,
    body: Buffer | StreamBody | undefined,
  ): Record<string, string> {
    const { method, headers } = this.#request;
    const length = body === undefined ? 0 : Buffer.isBuffer(body) ? body.length : body.sizeBytes;
    const sends = method === 'POST' || method === 'PUT';
    return {
      ...headers,
      ...(sends ? { 'content-length': String(length) } : {}),
      ...(used?.header === undefined ? {} : { authorization: used.header }),
    };
  }

  #counter(
    url: URL,
    hop: number,
    method: string,
    kind: ExchangeKind,
    startedAtMs: number,
  ): (status: number, receivedBytes: number) => void {
    const { side, onExchange, timing } = this.#parts;
    const { body } = this.#request;
    const sentBytes = body === undefined ? 0 : Buffer.isBuffer(body) ? body.length : body.sizeBytes;
    return (status, receivedBytes) => {
      onExchange({
        side,
        host: url.host,
        kind,
        method,
        status,
        hop,
        receivedBytes,
        sentBytes: status !== 0 && status < 400 ? sentBytes : 0,
        durationMs: timing.now() - startedAtMs,
      });
    };
  }
}

/** The body of an open answer, holding its slot until it ended or was given up. */
function held(
  response: TransportResponse,
  slot: Slot,
  count: (status: number, receivedBytes: number) => void,
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

/** 429, or the code of throttling under a status that some registries choose for it. */
function isThrottled({ status, body }: Answer): boolean {
  if (status === 429) return true;
  return (
    (status === 403 || status === 503) && parseErrorBody(body).codes.includes('TOOMANYREQUESTS')
  );
}

/** Broken connections at high concurrency are a registry's way to say that it is too much. */
function verdictOf(error: unknown): Verdict {
  return error instanceof Fault && (error.code === 'NETWORK' || error.code === 'TIMEOUT')
    ? 'congested'
    : 'abandoned';
}
