import http, {
  Agent as HttpAgent,
  ClientRequest,
  type AgentOptions,
  type IncomingMessage,
} from 'node:http';
import https, { Agent as HttpsAgent, type RequestOptions } from 'node:https';
import type { LookupFunction, Socket } from 'node:net';
import { getCACertificates } from 'node:tls';

import got, { type Request, type RequestFunction } from 'got';

import { defined } from '../contract/fields.ts';
import { MirrorError, isMirrorError, printable } from '../errors.ts';
import { checkConnected, checkLiteral, guardedLookup, type AddressRules } from './address-guard.ts';
import { idleConnections } from './idle-connections.ts';
import { idleTimer, type IdleTimer } from './idle-timer.ts';
import { bodyBatches, streamSender, type StreamBody, type StreamSender } from './blob-stream.ts';
import { errorCode, isReadableOddity, networkError } from './network-fault.ts';
import { readIntoOneBuffer } from './read-buffer.ts';
import { markSentInFull } from './sent-in-full.ts';
import { abortError, SYSTEM_TIMING } from '../concurrency.ts';

/** One exchange: nothing is followed, repeated or decoded. */
export interface TransportRequest {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT';
  readonly url: URL;
  /** Path and query to send in place of the URL's, byte for byte. */
  readonly rawPath?: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Buffer | StreamBody | undefined;
  /**
   * The whole exchange, the response's body included, ends within this. Default: the idle limits alone end
   * it, as is right for the bytes of a blob.
   */
  readonly budgetMs?: number | undefined;
  /**
   * Whether it may be sent again where a kept connection lost it; asked then. Default: what has no
   * stream may.
   */
  readonly mayRepeat?: (() => boolean) | undefined;
  /** Is told once that the connection took bytes of a stream; an answer may come without it. */
  readonly onBodyFlow?: (() => void) | undefined;
}

/** The head of an answer, and its body as it comes. */
export interface TransportResponse {
  readonly status: number;
  /** Names in lower case; the first value where one is doubled. */
  readonly header: (name: string) => string | undefined;
  /**
   * The body, once. Waiting for a chunk is what the idle timer watches. Whoever does not read to
   * the end calls `discard`.
   */
  readonly chunks: AsyncIterable<Buffer>;
  /** Ends the exchange; a body that is not yet read costs the connection. */
  readonly discard: () => void;
}

/** Options of {@link openTransport}. */
export interface TransportOptions {
  readonly addresses: AddressRules;
  /** PEM certificates that are trusted besides the system's. */
  readonly caCertificates?: string | undefined;
  /** Longest wait for the other side to take a byte or to begin its answer. Default: 60 s. */
  readonly idleMs?: number | undefined;
  /** Longest wait within an answer's body. Default: 15 s, or `idleMs` where that is less. */
  readonly bodyIdleMs?: number | undefined;
  /** Longest wait for a connection, TLS included. Default: 10 s. */
  readonly connectMs?: number | undefined;
  /** Milliseconds since 1970, those in which an instance was frozen too. Default: {@link SYSTEM_TIMING}'s. */
  readonly clock?: (() => number) | undefined;
}

/** Sends exchanges of one side over connections of its own. */
export interface Transport {
  /** @throws MirrorError by {@link networkError}, `TIMEOUT`, `ADDRESS_REFUSED`, `RESPONSE_TOO_LARGE`, the signal's */
  send(request: TransportRequest, signal: AbortSignal): Promise<TransportResponse>;
  /** Closes idle connections; running exchanges are broken. */
  close(): void;
}

const IDLE_MS = 60_000;
/** Short enough to notice a stalled download and to resume it within the 30 s that an upload may starve. */
const BODY_IDLE_MS = 15_000;
const CONNECT_MS = 10_000;
/** Largest response head: registries send under 4 KiB, gateways before them add their policies. Go's clients take 10 MiB. */
const MAX_HEAD_BYTES = 128 * 1024;
/** How much the HTTP parser takes at all, so that the check above is ours to make. */
const PARSER_HEAD_BYTES = 256 * 1024;
/** Origins remembered whose HTTP is odd; beyond it the memory begins anew. */
const MAX_ODD_ORIGINS = 1000;
/** Idle connections kept per host: what the limiter lets start at once. */
const MAX_FREE_SOCKETS = 32;
const HEADERS = { 'user-agent': 'imagerepo-mirror', 'accept-encoding': 'identity' };

/** The connections that exchanges go through. */
interface Agents {
  readonly http: HttpAgent;
  readonly https: HttpsAgent;
}

/** Sends small requests; one for the process. */
const small = got.extend({
  headers: HEADERS,
  maxHeaderSize: PARSER_HEAD_BYTES,
  retry: { limit: 0 },
  throwHttpErrors: false,
  followRedirect: false,
  decompress: false,
  // The response is read past got's own stream, which therefore counts no bytes.
  strictContentLength: false,
  http2: false,
});

/**
 * The one way to the network, each side of a copy its own: small requests over got, the bytes of blobs
 * over Node's client itself.
 */
export function openTransport(options: TransportOptions): Transport {
  const keepAlive = {
    keepAlive: true, // guard: proxy-variables, without: keepAlive: true, proxyEnv: process.env,
    maxFreeSockets: MAX_FREE_SOCKETS,
    scheduling: 'lifo' as const,
  };
  const ca =
    options.caCertificates === undefined
      ? undefined
      : [...getCACertificates('default'), options.caCertificates];
  const agentsOf = (kind: AgentOptions): Agents => {
    const made = {
      http: new HttpAgent(kind),
      // Said outright: NODE_TLS_REJECT_UNAUTHORIZED would switch the check off where it is not.
      https: new HttpsAgent({
        ...kind,
        rejectUnauthorized: true, // guard: tls-verification, without: rejectUnauthorized: false,
        ca,
      }),
    };
    readIntoOneBuffer(made.http);
    readIntoOneBuffer(made.https);
    return made;
  };
  const agents = agentsOf(keepAlive);
  const idle = idleConnections([agents.http, agents.https], options.clock ?? SYSTEM_TIMING.now);
  // A connection for each exchange: where its framing can be read in two ways, no other answer is at stake.
  const oddAgents = agentsOf({ keepAlive: false });
  /** Origins whose answers the strict parser refuses and others read. */
  const odd = new Set<string>();
  return {
    async send(request, signal) {
      checkLiteral(request.url, options.addresses);
      idle.dropOld();
      const { origin } = request.url;
      if (odd.has(origin)) return new Exchange(request, oddAgents, options, signal, true).response;
      const first = new Exchange(request, agents, options, signal, false, () => {
        if (odd.size >= MAX_ODD_ORIGINS) odd.clear();
        odd.add(origin);
      });
      try {
        return await first.response;
      } catch (error) {
        if (odd.has(origin) && first.isReplayable && request.mayRepeat?.() !== false)
          return await new Exchange(request, oddAgents, options, signal, true).response;
        // Whoever says nothing on one kept connection is not there on the others either.
        if (first.wasSilent(error)) idle.dropAllOf(request.url);
        // A server may close an idle connection in the moment in which it is used again: RFC 9112 §9.3.1.
        if (!first.wasStale(error) || request.mayRepeat?.() === false) throw error;
        return await new Exchange(request, agents, options, signal, false).response;
      }
    },
    close() {
      for (const agent of [agents, oddAgents]) {
        agent.http.destroy();
        agent.https.destroy();
      }
    },
  };
}

/** One request and its response. Settles `response` once; after that the body's reader is told. */
class Exchange {
  readonly response: Promise<TransportResponse>;
  readonly #request: TransportRequest;
  readonly #stream: Request | ClientRequest;
  readonly #idle: IdleTimer;
  readonly #bodyIdle: IdleTimer;
  readonly #options: TransportOptions;
  readonly #signal: AbortSignal;
  readonly #isOdd: boolean;
  readonly #onOdd: () => void;
  readonly #cleanups: (() => void)[] = [];
  #reject: (fault: MirrorError) => void = () => undefined;
  #reusedSocket = false;
  #failure: MirrorError | undefined;
  /** The connection took the last byte of a stream. */
  #bodySent = false;
  #responded = false;
  /** The answer came whole, and more bytes after it; what of it was not read yet. */
  #rest: Buffer | undefined;
  /** Sends the body, where that is a stream; stopped by a response and by a failure. */
  #sender: StreamSender | undefined;

  constructor(
    request: TransportRequest,
    agents: Agents,
    options: TransportOptions,
    signal: AbortSignal,
    isOdd: boolean,
    onOdd: () => void = () => undefined,
  ) {
    this.#isOdd = isOdd;
    this.#onOdd = onOdd;
    this.#request = request;
    this.#options = options;
    this.#signal = signal;
    const { idleMs = IDLE_MS, bodyIdleMs = Math.min(BODY_IDLE_MS, idleMs) } = options;
    const onIdle = (): void => {
      this.#fail(new MirrorError('TIMEOUT', 'the registry stopped in the middle'));
    };
    this.#idle = idleTimer(idleMs, onIdle);
    this.#bodyIdle = idleTimer(bodyIdleMs, onIdle);
    const { promise, resolve, reject } = Promise.withResolvers<TransportResponse>();
    this.response = promise;
    this.#reject = reject;
    const lookup = guardedLookup(request.url.host, options.addresses);
    this.#stream = isOfBlob(request)
      ? blobRequest(request, agents, lookup, isOdd)
      : smallRequest(request, agents, lookup, isOdd);
    this.#watch(resolve);
  }

  /** Whether the failure is that of a kept connection on which nothing was said in time. */
  wasSilent(error: unknown): boolean {
    return this.#isOfKept(error) && isMirrorError(error, 'TIMEOUT');
  }

  /**
   * Whether the failure is that of a kept connection which the server had closed meanwhile, or which
   * had died, and the request can be sent again.
   */
  wasStale(error: unknown): boolean {
    // Bytes that came late after the answer before are no answer to this request.
    const late = this.#staleCode.startsWith('HPE_');
    const reset = this.#staleCode === 'ECONNRESET' || this.#staleCode === 'EPIPE' || late;
    return this.isReplayable && this.#isOfKept(error) && (reset || this.wasSilent(error));
  }

  /** Whether the request can be sent again as it is. */
  get isReplayable(): boolean {
    const { body } = this.#request;
    return body === undefined || Buffer.isBuffer(body);
  }

  #isOfKept(error: unknown): boolean {
    return this.#reusedSocket && !this.#responded && error === this.#failure;
  }

  #staleCode = '';

  #watch(resolve: (response: TransportResponse) => void): void {
    const { budgetMs } = this.#request;
    const budget =
      budgetMs === undefined
        ? undefined
        : setTimeout(() => {
            this.#fail(new MirrorError('TIMEOUT', `not done within ${budgetMs} ms`));
          }, budgetMs);
    const onAbort = (): void => {
      this.#fail(abortError(this.#signal));
    };
    this.#signal.addEventListener('abort', onAbort, { once: true });
    this.#cleanups.push(
      () => {
        clearTimeout(budget);
      },
      () => {
        this.#signal.removeEventListener('abort', onAbort);
      },
    );
    this.#idle.wait();
    this.#stream.on('error', (error: unknown) => {
      this.#staleCode = errorCode(error);
      if (this.#rest !== undefined) return;
      this.#fail(this.#faultOf(error));
    });
    if (this.#stream instanceof ClientRequest) this.#onRequest(this.#stream);
    else {
      this.#stream.once('request', (request: ClientRequest) => {
        this.#onRequest(request);
      });
    }
    this.#stream.once('response', (response: IncomingMessage) => {
      this.#onResponse(response, resolve);
    });
    const { body } = this.#request;
    if (this.#signal.aborted) onAbort();
    // Not by got's option, which loads all of fetch to see whether the body is a form.
    else if (Buffer.isBuffer(body)) this.#stream.end(body);
    // got ends by itself what can have no body.
    else if (body === undefined && needsEnd(this.#request)) this.#stream.end();
  }

  #onRequest(request: ClientRequest): void {
    const { body } = this.#request;
    if (body !== undefined && !Buffer.isBuffer(body)) this.#sendStream(request, body);
    request.once('response', (response: IncomingMessage) => {
      request.prependOnceListener('error', (error: unknown) => {
        if (response.complete && errorCode(error).startsWith('HPE_')) this.#onWhole(response);
      });
    });
    request.once('socket', (socket: Socket) => {
      this.#reusedSocket = request.reusedSocket;
      if (!socket.connecting) return;
      const slow = setTimeout(() => {
        this.#fail(new MirrorError('TIMEOUT', 'no connection in time'));
      }, this.#options.connectMs ?? CONNECT_MS);
      const connected = this.#request.url.protocol === 'https:' ? 'secureConnect' : 'connect';
      socket.once('connect', () => {
        try {
          checkConnected(socket.remoteAddress, this.#request.url.host, this.#options.addresses);
        } catch (error) {
          this.#fail(networkError(error));
        }
      });
      const done = (): void => {
        clearTimeout(slow);
      };
      socket.once(connected, done);
      this.#cleanups.push(done);
    });
  }

  /**
   * Bytes come after the whole answer: a HEAD that is answered with a body is the common case. The
   * answer stands; the connection is gone with the parser's error, so that nobody reads them as his.
   */
  #onWhole(response: IncomingMessage): void {
    // got ends the answer with the error; Node's own client leaves it to be read.
    const taken = isOfBlob(this.#request) ? null : (response.read() as Buffer | null);
    this.#rest = taken ?? Buffer.alloc(0);
  }

  #onResponse(response: IncomingMessage, resolve: (response: TransportResponse) => void): void {
    this.#responded = true;
    this.#sender?.stop();
    this.#idle.stop();
    response.on('error', (error: unknown) => {
      if (this.#rest !== undefined) return;
      this.#fail(this.#faultOf(error));
    });
    const headBytes = response.rawHeaders.reduce((sum, text) => sum + text.length + 2, 0);
    // guard: response-headers
    if (headBytes > MAX_HEAD_BYTES)
      this.#fail(new MirrorError('RESPONSE_TOO_LARGE', `response head of ${headBytes} bytes`));
    const oddity = this.#isOdd ? oddityOf(response) : undefined;
    if (oddity !== undefined) this.#fail(new MirrorError('RESPONSE_INVALID', oddity));
    const isRefusal = (response.statusCode ?? 0) >= 400;
    // Whether the server reads the rest of an upload that it refuses, which the kernel has taken by then, nobody
    // knows: what is asked next would wait behind it.
    if (isRefusal && this.#sender !== undefined && this.#stream instanceof ClientRequest) {
      this.#stream.shouldKeepAlive = false;
    }
    const early = this.#sender?.gaveAll === false && !isRefusal;
    // guard: early-success
    if (early)
      this.#fail(new MirrorError('RESPONSE_INVALID', 'answered well before it had all bytes'));
    if (this.#failure !== undefined) return;
    resolve({
      status: response.statusCode ?? 0,
      header: (name) => {
        // The length of a body in chunks is what its chunks say (RFC 9112 §6.3).
        if (name === 'content-length' && response.headers['transfer-encoding'] !== undefined)
          return undefined;
        const value = response.headers[name];
        return Array.isArray(value) ? value.join(', ') : value;
      },
      chunks: this.#chunks(this.#bodyOf(response)),
      discard: () => {
        this.#end();
      },
    });
  }

  #bodyOf(response: IncomingMessage): AsyncIterable<Buffer> {
    if (!isOfBlob(this.#request) || this.#request.method !== 'GET') return response;
    // The connection is broken off after the last byte, and breaks nothing then.
    return bodyBatches(response, () => {
      this.#rest = Buffer.alloc(0);
    });
  }

  async *#chunks(body: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
    try {
      this.#bodyIdle.wait();
      for await (const chunk of body) {
        this.#bodyIdle.rest();
        this.#bodyIdle.moved(chunk.length);
        yield chunk;
        this.#bodyIdle.wait();
      }
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#rest !== undefined && this.#rest.length > 0) yield this.#rest;
    } catch (error) {
      throw this.#failure ?? this.#faultOf(error);
    } finally {
      this.#end();
    }
  }

  #sendStream(request: ClientRequest, body: StreamBody): void {
    this.#cleanups.push(() => {
      body.stream.destroy();
    });
    this.#sender = streamSender(request, body, this.#idle, this.#request.onBodyFlow);
    this.#sender.send().then(
      (sent) => {
        this.#bodySent = sent;
      },
      (error: unknown) => {
        this.#fail(networkError(error));
      },
    );
  }

  /** What is odd and can be read is remembered of its origin, and asked again as that. */
  #faultOf(error: unknown): MirrorError {
    if (this.#isOdd || !isReadableOddity(error)) return networkError(error);
    this.#onOdd();
    return new MirrorError(
      'NETWORK',
      `an answer in odd HTTP (${errorCode(error)}), to be asked again`,
    );
  }

  #fail(fault: MirrorError): void {
    if (this.#failure !== undefined) return;
    this.#failure = fault;
    if (this.#bodySent) markSentInFull(fault);
    this.#reject(fault);
    this.#sender?.stop();
    this.#end();
  }

  /** May be called again: a body that is read after its failure would start the idle timer anew. */
  #end(): void {
    this.#idle.stop();
    this.#bodyIdle.stop();
    for (const cleanup of this.#cleanups.splice(0)) cleanup();
    if (!this.#stream.destroyed) this.#stream.destroy();
  }
}

/** The bytes of a blob, down or up. Every other exchange has its budget. */
function isOfBlob({ body, budgetMs }: TransportRequest): boolean {
  return budgetMs === undefined || !(body === undefined || Buffer.isBuffer(body));
}

/** @throws MirrorError for a header or path that cannot be sent; got tells it as an error of the exchange */
function blobRequest(
  { method, url, rawPath, headers }: TransportRequest,
  agents: Agents,
  lookup: LookupFunction,
  isOdd: boolean,
): ClientRequest {
  const isSecure = url.protocol === 'https:';
  try {
    return (isSecure ? https : http).request(url, {
      method,
      headers: { ...HEADERS, ...headers },
      agent: isSecure ? agents.https : agents.http,
      lookup,
      maxHeaderSize: PARSER_HEAD_BYTES,
      insecureHTTPParser: isOdd,
      ...defined({ path: rawPath }),
    });
  } catch (error) {
    throw networkError(error);
  }
}

function smallRequest(
  { method, url, rawPath, headers, body }: TransportRequest,
  agents: Agents,
  lookup: LookupFunction,
  isOdd: boolean,
): Request {
  return small.stream(url, {
    method,
    headers: Buffer.isBuffer(body)
      ? { 'content-length': String(body.length), ...headers }
      : headers,
    ...(isOdd || rawPath !== undefined ? { request: requestWith({ path: rawPath, isOdd }) } : {}),
    agent: agents,
    dnsLookup: lookup,
  });
}

/**
 * Makes requests whose path is written as it stands, where the URL would write it anew, and whose answer may
 * be odd HTTP.
 */
function requestWith({
  path,
  isOdd,
}: {
  readonly path: string | undefined;
  readonly isOdd: boolean;
}): RequestFunction {
  return (url, options, callback) => {
    const { request } = url.protocol === 'https:' ? https : http;
    const more = defined({ path, insecureHTTPParser: isOdd });
    return request(url, { ...options, ...more } as RequestOptions, callback);
  };
}

/** What the lenient parser lets through although no client should read it; undefined: nothing. */
function oddityOf({ rawHeaders, headers }: IncomingMessage): string | undefined {
  const at = rawHeaders.findIndex((text) => CONTROLS.test(text));
  // guard: odd-header
  if (at >= 0)
    return `the header '${printable(rawHeaders[at - (at % 2)] ?? '')}' has control characters`;
  const spaced = rawHeaders.find((text, n) => n % 2 === 0 && text.includes(' '));
  // guard: odd-header
  if (spaced !== undefined) return `the header '${printable(spaced)}' has a space in its name`;
  const { 'transfer-encoding': coding = 'chunked' } = headers;
  // guard: odd-coding
  if (coding.toLowerCase() !== 'chunked')
    return `the body has the transfer coding '${printable(coding)}'`;
  return undefined;
}

/** C0 and DEL; a tab may stand in a value (RFC 9110 §5.5). */
const CONTROLS = new RegExp(String.raw`[\u0000-\u0008\u000a-\u001f\u007f]`);

function needsEnd(request: TransportRequest): boolean {
  return isOfBlob(request) || request.method === 'POST' || request.method === 'PUT';
}
