import { abortError } from '../../functions/concurrency.ts';
import { MirrorError } from '../../functions/errors.ts';
import { networkError } from '../../functions/registry/network-fault.ts';
import { markSentInFull } from '../../functions/registry/sent-in-full.ts';
import type { StreamBody } from '../../functions/registry/blob-stream.ts';
import type {
  Transport,
  TransportRequest,
  TransportResponse,
} from '../../functions/registry/transport.ts';
import type { Random } from '../random.ts';
import type { Disturbance, Disturber, ExchangeFacts } from './disturbance.ts';
import { refusal, type Reply, type SimulatedRegistry } from './registry.ts';
import type { Scheduler } from './scheduler.ts';

/** The real transport's limits: until a header or until bytes are taken; within an answer's body. */
export const IDLE_MS = 60_000;
export const BODY_IDLE_MS = 15_000;
/** Bytes that must move within one of them. */
const MIN_MOVED_BYTES = 4096;

/** Waiting for the other side in sum, as the real transport counts it. */
class IdleSum {
  readonly #limitMs: number;
  #waitedMs = 0;
  #movedBytes = 0;

  constructor(limitMs: number) {
    this.#limitMs = limitMs;
  }

  /** How long of a wait passes before the limit ends it; the whole of it where it does not. */
  leftMs(waitMs: number): number {
    return Math.min(waitMs, this.#limitMs - this.#waitedMs);
  }

  passed(waitMs: number, movedBytes: number): void {
    this.#waitedMs += waitMs;
    this.#movedBytes += movedBytes;
    if (this.#movedBytes < MIN_MOVED_BYTES) return;
    this.#waitedMs = 0;
    this.#movedBytes = 0;
  }
}

/** Why an exchange ended. */
export type ExchangeEnd = 'open' | 'read' | 'discarded' | 'aborted' | 'budget' | 'idle' | 'broken';

/** One exchange, for whoever judges the run. */
export interface ExchangeRecord extends ExchangeFacts {
  readonly process: string;
  readonly path: string;
  readonly url: URL;
  readonly signal: AbortSignal;
  readonly sentAtMs: number;
  readonly disturbance: Disturbance | undefined;
  status: number;
  /** `Docker-Content-Digest` of the answer. */
  digest: string | undefined;
  /** When the registry did what it asks for, and when its answer was there. */
  handledAtMs: number | undefined;
  answeredAtMs: number | undefined;
  /** When its body had been read, or it was over otherwise. */
  endedAtMs: number | undefined;
  /** Bytes of the request's stream that the other side took. */
  takenBytes: number;
  end: ExchangeEnd;
}

/** How fast the network is. */
export interface NetworkPace {
  /** Delays of one step to draw from, milliseconds. */
  readonly latenciesMs: readonly number[];
  /** Parts that a blob's body comes in, at most. */
  readonly parts: number;
  /** All uploads of a process together, bytes a second; undefined: as fast as the latencies. */
  readonly uploadBytesPerSecond: number | undefined;
}

/** What a process's end of the network needs to know of it. */
export interface NetworkClient {
  readonly name: string;
  readonly isAlive: () => boolean;
}

/** Told about exchanges as they go. */
export interface NetworkWatch {
  onAnswer?(exchange: ExchangeRecord): void;
  onEnd?(exchange: ExchangeRecord): void;
  /** The first bytes of an upload were not there when it was sent: it holds a start for its source. */
  onUnready?(exchange: ExchangeRecord): void;
}

/** The way between the processes and the registries. */
export class Network {
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly disturber: Disturber;
  readonly pace: NetworkPace;
  readonly watch: NetworkWatch;
  readonly records: ExchangeRecord[] = [];
  readonly #registries = new Map<string, SimulatedRegistry>();
  /** When the way up of each process is free again. */
  readonly #uploadFreeAtMs = new Map<string, number>();

  constructor(
    scheduler: Scheduler,
    random: Random,
    disturber: Disturber,
    pace: NetworkPace,
    watch: NetworkWatch,
  ) {
    this.scheduler = scheduler;
    this.random = random;
    this.disturber = disturber;
    this.pace = pace;
    this.watch = watch;
  }

  add(registry: SimulatedRegistry): void {
    for (const host of [registry.traits.host, registry.storeHost, registry.realmHost]) {
      this.#registries.set(host, registry);
    }
  }

  registryAt(host: string): SimulatedRegistry {
    const registry = this.#registries.get(host);
    if (registry === undefined) throw new Error(`no registry at ${host}`);
    return registry;
  }

  /** A transport of one side of a process. */
  transport(client: NetworkClient, side: 'source' | 'destination'): Transport {
    return {
      send: (request, signal) => new Exchange(this, client, side, request, signal).response,
      close: () => undefined,
    };
  }

  latencyMs(): number {
    return this.random.pick(this.pace.latenciesMs);
  }

  /** Delay of some bytes on the way up that all uploads of a process share. */
  uploadDelayMs(process: string, bytes: number): number {
    const rate = this.pace.uploadBytesPerSecond;
    if (rate === undefined) return this.latencyMs();
    const beginMs = Math.max(this.scheduler.now, this.#uploadFreeAtMs.get(process) ?? 0);
    const endMs = beginMs + Math.ceil((bytes * 1000) / rate);
    this.#uploadFreeAtMs.set(process, endMs);
    return endMs - this.scheduler.now;
  }

  /** Largest part of a stream that is taken at once, so that streams share a slow way. */
  get uploadPartBytes(): number {
    const rate = this.pace.uploadBytesPerSecond;
    return rate === undefined ? Infinity : Math.max(1024, rate * 2);
  }

  facts(
    side: 'source' | 'destination',
    { method, url, headers, body }: TransportRequest,
  ): ExchangeFacts {
    const { kind, object } = kindOf(method, url);
    const own = body === undefined ? 0 : Buffer.isBuffer(body) ? body.length : body.sizeBytes;
    return {
      number: this.records.length + 1,
      side,
      host: this.registryAt(url.host).traits.host,
      method,
      kind,
      object,
      sizeBytes: own,
      resumes: headers['range'] !== undefined,
    };
  }
}

const TARGET = /\/(?:manifests|blobs|referrers)\/([^/]+)$/;

function kindOf(method: string, url: URL): Pick<ExchangeFacts, 'kind' | 'object'> {
  const { pathname } = url;
  if (pathname === '/token') return { kind: 'token', object: undefined };
  if (pathname === '/v2/') return { kind: 'ping', object: undefined };
  if (pathname.endsWith('/tags/list')) return { kind: 'tags', object: undefined };
  if (pathname.startsWith('/uploads/')) {
    return { kind: 'upload', object: url.searchParams.get('digest') ?? undefined };
  }
  const posted = method === 'POST' ? url.searchParams.get('digest') : null;
  if (posted !== null) return { kind: 'upload', object: posted };
  if (method === 'POST')
    return { kind: 'start', object: url.searchParams.get('mount') ?? undefined };
  const object = TARGET.exec(pathname)?.[1] ?? pathname.split('/').at(-1);
  if (pathname.includes('/manifests/')) return { kind: 'manifest', object };
  if (pathname.includes('/referrers/')) return { kind: 'referrers', object };
  return { kind: 'blob', object };
}

/** Repository that an address speaks of; empty for tokens and pings. */
function pathOf(url: URL): string {
  const api = /^\/v2\/(.+?)\/(?:tags|manifests|blobs|referrers)\//.exec(url.pathname)?.[1];
  return api ?? /^\/(?:uploads|store)\/(.+)\/[^/]+$/.exec(url.pathname)?.[1] ?? '';
}

/** One request and its answer, as the real transport ends them. */
class Exchange {
  readonly response: Promise<TransportResponse>;
  readonly #network: Network;
  readonly #client: NetworkClient;
  readonly #request: TransportRequest;
  readonly #signal: AbortSignal;
  readonly #record: ExchangeRecord;
  readonly #cleanups: (() => void)[] = [];
  #resolve: (response: TransportResponse) => void = () => undefined;
  #reject: (fault: MirrorError) => void = () => undefined;
  /** Ends a wait for a chunk. */
  #breakWait: ((fault: MirrorError) => void) | undefined;
  #failure: MirrorError | undefined;
  readonly #bodyIdle = new IdleSum(BODY_IDLE_MS);
  readonly #sendIdle = new IdleSum(IDLE_MS);
  #answered = false;
  #sentInFull = false;
  #received: Buffer[] = [];

  constructor(
    network: Network,
    client: NetworkClient,
    side: 'source' | 'destination',
    request: TransportRequest,
    signal: AbortSignal,
  ) {
    this.#network = network;
    this.#client = client;
    this.#request = request;
    this.#signal = signal;
    const facts = network.facts(side, request);
    this.#record = {
      ...facts,
      process: client.name,
      path: pathOf(request.url),
      url: request.url,
      signal,
      sentAtMs: network.scheduler.now,
      disturbance: network.disturber.next(facts),
      status: 0,
      digest: undefined,
      handledAtMs: undefined,
      answeredAtMs: undefined,
      endedAtMs: undefined,
      takenBytes: 0,
      end: 'open',
    };
    network.records.push(this.#record);
    this.response = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#begin();
  }

  get #name(): string {
    const { number, method, kind, object, host } = this.#record;
    return `#${number} ${this.#client.name} ${method} ${kind} ${host} ${object?.slice(0, 14) ?? ''}`;
  }

  #begin(): void {
    const { scheduler } = this.#network;
    const { budgetMs, body } = this.#request;
    const struck = this.#record.disturbance;
    scheduler.note(`send ${this.#name}${struck === undefined ? '' : ` (${struck.kind})`}`);
    if (this.#signal.aborted) {
      this.#fail(abortError(this.#signal), 'aborted');
      return;
    }
    const onAbort = (): void => {
      this.#fail(abortError(this.#signal), 'aborted');
    };
    this.#signal.addEventListener('abort', onAbort, { once: true });
    this.#cleanups.push(() => {
      this.#signal.removeEventListener('abort', onAbort);
    });
    if (budgetMs !== undefined) {
      const stop = scheduler.after(budgetMs, 'timer', `budget of ${this.#name}`, () => {
        this.#fail(new MirrorError('TIMEOUT', `not done within ${budgetMs} ms`), 'budget');
      });
      this.#cleanups.push(stop);
    }
    if (struck?.kind === 'unreachable') {
      this.#breakLater('breaks', 'ECONNRESET');
      return;
    }
    if (body === undefined || Buffer.isBuffer(body)) {
      const bytes = body ?? Buffer.alloc(0);
      if (this.#record.kind === 'upload' && bytes.length > 0) this.#sendBlob(bytes);
      else this.#sendWhole(bytes);
    } else {
      this.#cleanups.push(() => {
        body.stream.destroy();
      });
      this.#sendStream(body).catch((error: unknown) => {
        this.#fail(networkError(error), 'broken');
      });
    }
  }

  /** The next thing that happens to this exchange; nothing does after its end. */
  #arrive(delayMs: number, what: string, action: () => void): void {
    const stop = this.#network.scheduler.after(delayMs, 'arrival', `${what} ${this.#name}`, () => {
      if (this.#client.isAlive() && this.#record.end === 'open') action();
    });
    this.#cleanups.push(stop);
  }

  /** Nothing comes any more: the transport's idle limit ends it. */
  #idle(limitMs: number): void {
    this.#arrive(limitMs, 'idle limit of', () => {
      this.#fail(new MirrorError('TIMEOUT', 'the registry stopped in the middle'), 'idle');
    });
  }

  /** The connection breaks a moment later. */
  #breakLater(what: string, how: string): void {
    this.#arrive(this.#network.latencyMs(), what, () => {
      this.#fail(new MirrorError('NETWORK', `the connection broke (${how})`), 'broken');
    });
  }

  #sendWhole(body: Buffer): void {
    const { scheduler, random } = this.#network;
    const survivesAbort = random.chance(0.5);
    // What has left arrives although nobody waits for the answer any more.
    const arrival = scheduler.after(
      this.#network.latencyMs(),
      'arrival',
      `reach ${this.#name}`,
      () => {
        if (this.#record.end === 'aborted' ? survivesAbort : this.#record.end === 'open') {
          this.#sentInFull = body.length > 0;
          this.#reach(body);
        }
      },
    );
    this.#cleanups.push(() => {
      if (!survivesAbort || this.#record.end !== 'aborted') arrival();
    });
  }

  /** A blob that is sent with its POST: taken in one piece, or broken in its middle. */
  #sendBlob(bytes: Buffer): void {
    this.#take(bytes, this.#breakAt(bytes.length)).then(
      (taken) => {
        if (taken) this.#sendWhole(bytes);
      },
      () => undefined,
    );
  }

  /** Byte of an upload at which it is disturbed. */
  #breakAt(sizeBytes: number): number {
    const struck = this.#record.disturbance;
    return struck?.kind === 'upload-cut' ||
      struck?.kind === 'upload-stuck' ||
      struck?.kind === 'throttled-late'
      ? Math.floor(struck.share * sizeBytes)
      : Infinity;
  }

  /** Gives a stream part by part, as the other side takes it. */
  async #sendStream({ stream, sizeBytes, onBytes }: StreamBody): Promise<void> {
    const breakAt = this.#breakAt(sizeBytes);
    let givenBytes = 0;
    const { steps } = this.#network.scheduler;
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      if (givenBytes === 0 && this.#network.scheduler.steps !== steps) {
        this.#network.watch.onUnready?.(this.#record);
      }
      if (this.#record.end !== 'open' || this.#answered) return;
      givenBytes += chunk.length;
      if (givenBytes > sizeBytes) throw wrongSize(givenBytes, sizeBytes);
      const part = this.#network.uploadPartBytes;
      for (let at = 0; at < chunk.length; at += part) {
        const piece = chunk.subarray(at, Math.min(at + part, chunk.length));
        if (!(await this.#take(piece, breakAt))) return;
        this.#begunBody();
        onBytes?.(piece.length);
      }
      if (givenBytes === sizeBytes) break;
    }
    if (givenBytes < sizeBytes) throw wrongSize(givenBytes, sizeBytes);
    this.#sentInFull = true;
    this.#reach(Buffer.concat(this.#received));
  }

  #begunBody(): void {
    if (this.#flowing) return;
    this.#flowing = true;
    this.#request.onBodyFlow?.();
  }

  #flowing = false;

  /** Waits until a part is taken; false: the exchange is over. */
  #take(piece: Buffer, breakAt: number): Promise<boolean> {
    return new Promise((resolve) => {
      this.#cleanups.push(() => {
        resolve(false);
      });
      if (this.#record.takenBytes + piece.length > breakAt) {
        this.#breakUpload(resolve);
        return;
      }
      const delayMs = this.#network.uploadDelayMs(this.#client.name, piece.length);
      if (this.#sendIdle.leftMs(delayMs) < delayMs) {
        this.#idle(this.#sendIdle.leftMs(delayMs));
        return;
      }
      this.#arrive(delayMs, 'take', () => {
        this.#sendIdle.passed(delayMs, piece.length);
        this.#record.takenBytes += piece.length;
        this.#received.push(piece);
        resolve(true);
      });
    });
  }

  #breakUpload(resolve: (taken: boolean) => void): void {
    const struck = this.#record.disturbance;
    if (struck?.kind === 'upload-stuck') {
      this.#idle(IDLE_MS);
      return;
    }
    this.#arrive(this.#network.latencyMs(), 'break', () => {
      resolve(false);
      if (struck?.kind === 'throttled-late') this.#answer(throttled(struck.retryAfterS));
      else this.#fail(new MirrorError('NETWORK', 'the connection broke (EPIPE)'), 'broken');
    });
  }

  /** The request is there: the registry does what it asks for, and its answer sets out. */
  #reach(body: Buffer): void {
    const struck = this.#record.disturbance;
    if (struck?.kind === 'throttled') this.#answerLater(throttled(struck.retryAfterS));
    else if (struck?.kind === 'failing') this.#answerLater(refusal(struck.status, 'UNKNOWN'));
    else if (struck?.kind === 'silent' && !struck.arrives) this.#idle(IDLE_MS);
    else this.#handle(body, struck);
  }

  #handle(body: Buffer, struck: Disturbance | undefined): void {
    const { method, url, headers } = this.#request;
    const registry = this.#network.registryAt(url.host);
    if (struck?.kind === 'token-expired') registry.expireTokens();
    this.#record.handledAtMs = this.#network.scheduler.now;
    const reply = registry.handle({ method, url, headers, body }, this.#record);
    if (struck?.kind === 'silent') this.#idle(IDLE_MS);
    else if (struck?.kind === 'answer-lost') {
      this.#breakLater('lose', 'ECONNRESET');
    } else this.#answerLater(reply, struck?.kind === 'late' ? struck.delayMs : 0);
  }

  #answerLater(reply: Reply, delayMs = 0): void {
    this.#arrive(delayMs + this.#network.latencyMs(), `answer ${reply.status}`, () => {
      this.#answer(reply);
    });
  }

  #answer(reply: Reply): void {
    const struck = this.#record.disturbance;
    this.#answered = true;
    this.#record.status = reply.status;
    this.#record.digest = reply.headers['docker-content-digest'];
    this.#record.answeredAtMs = this.#network.scheduler.now;
    const retryAfterS = Number(reply.headers['retry-after'] ?? 0);
    if (reply.status === 429) {
      const { scheduler } = this.#network;
      scheduler.expectNothingUntil(scheduler.now + Math.max(retryAfterS, 30) * 1000);
    }
    this.#network.watch.onAnswer?.(this.#record);
    const length = Number(reply.headers['content-length'] ?? reply.body.length);
    const headers =
      struck?.kind === 'wrong-length'
        ? { ...reply.headers, 'content-length': String(length + 7) }
        : reply.headers;
    const hasBody = reply.body.length > 0;
    this.#resolve({
      status: reply.status,
      header: (name) => headers[name],
      chunks: this.#chunks(reply.body),
      discard: () => {
        this.#close(hasBody ? 'discarded' : 'read');
      },
    });
  }

  async *#chunks(body: Buffer): AsyncGenerator<Buffer, void, undefined> {
    try {
      const struck = this.#record.disturbance;
      const breakAt =
        struck?.kind === 'cut' || struck?.kind === 'stuck'
          ? Math.floor(struck.share * body.length)
          : Infinity;
      const flipAt = struck?.kind === 'flipped' ? Math.floor(struck.share * body.length) : -1;
      const size =
        struck?.kind === 'trickle'
          ? struck.partBytes
          : Math.max(1, Math.ceil(body.length / this.#partsOf(body)));
      for (let at = 0; at < body.length; at += size) {
        const end = Math.min(at + size, body.length);
        if (end > breakAt && at < breakAt) yield await this.#chunk(body.subarray(at, breakAt));
        if (end > breakAt) return await this.#breakBody(struck?.kind);
        const chunk = body.subarray(at, end);
        yield await this.#chunk(flipAt >= at && flipAt < end ? flipped(chunk, flipAt - at) : chunk);
      }
      if (this.#failure !== undefined) throw this.#failure;
      this.#close('read');
    } catch (error) {
      throw this.#failure ?? networkError(error);
    } finally {
      this.#close('discarded');
    }
  }

  #partsOf(body: Buffer): number {
    return body.length < 2_000 ? 1 : 1 + this.#network.random.below(this.#network.pace.parts);
  }

  #chunk(chunk: Buffer): Promise<Buffer> {
    const struck = this.#record.disturbance;
    const delayMs = struck?.kind === 'trickle' ? struck.gapMs : this.#network.latencyMs();
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined || this.#record.end !== 'open') {
        reject(this.#failure ?? new MirrorError('NETWORK', 'the exchange was over'));
        return;
      }
      this.#breakWait = reject;
      if (this.#bodyIdle.leftMs(delayMs) < delayMs) {
        this.#idle(this.#bodyIdle.leftMs(delayMs));
        return;
      }
      this.#arrive(delayMs, 'chunk', () => {
        this.#bodyIdle.passed(delayMs, chunk.length);
        this.#breakWait = undefined;
        resolve(chunk);
      });
    });
  }

  /** The body ends too early: broken, or with nothing more until the idle limit. */
  #breakBody(kind: Disturbance['kind'] | undefined): Promise<never> {
    return new Promise((_resolve, reject) => {
      this.#breakWait = reject;
      if (kind === 'stuck') this.#idle(this.#bodyIdle.leftMs(BODY_IDLE_MS));
      else {
        this.#breakLater('cut', 'inside the body');
      }
    });
  }

  #fail(fault: MirrorError, end: ExchangeEnd): void {
    if (this.#failure !== undefined || this.#record.end !== 'open') return;
    this.#failure = fault;
    if (this.#sentInFull) markSentInFull(fault);
    this.#reject(fault);
    this.#close(end);
  }

  #close(end: ExchangeEnd): void {
    if (this.#record.end !== 'open') return;
    this.#record.end = end;
    this.#record.endedAtMs = this.#network.scheduler.now;
    this.#network.scheduler.note(`end ${this.#name}: ${end} ${this.#record.status}`);
    for (const cleanup of this.#cleanups.splice(0)) cleanup();
    this.#breakWait?.(this.#failure ?? new MirrorError('NETWORK', 'the exchange was ended'));
    this.#breakWait = undefined;
    this.#network.watch.onEnd?.(this.#record);
  }
}

function throttled(retryAfterS: number | undefined): Reply {
  return refusal(
    429,
    'TOOMANYREQUESTS',
    retryAfterS === undefined ? {} : { 'retry-after': String(retryAfterS) },
  );
}

function flipped(chunk: Buffer, at: number): Buffer {
  const copy = Buffer.from(chunk);
  copy[at] = (copy[at] ?? 0) ^ 1;
  return copy;
}

function wrongSize(bytes: number, sizeBytes: number): MirrorError {
  return new MirrorError('SIZE_MISMATCH', `${bytes} bytes in place of ${sizeBytes}`);
}
