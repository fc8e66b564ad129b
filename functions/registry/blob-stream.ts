import type { Hash } from 'node:crypto';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { finished, Readable } from 'node:stream';

import { MirrorError, isMirrorError } from '../errors.ts';
import { hashFor, hashMatches } from '../oci/digest.ts';
import { failure, isOpen, located, type Answer, type Asked, type OpenAnswer } from './failure.ts';
import type { IdleTimer } from './idle-timer.ts';
import { readDirectly, type DirectReader } from './read-buffer.ts';
import { redactUrl } from './redact.ts';
import { abortError, SYSTEM_TIMING, type Timing } from '../concurrency.ts';

// The bytes of a blob, from one connection into the other: what lies ready at the source is gathered,
// hashed and given on as one piece.

/** What is read. */
export interface BlobToRead {
  readonly digest: string;
  readonly sizeBytes: number;
}

/** Options of {@link readBlob}. */
export interface BlobReaderOptions {
  readonly blob: BlobToRead;
  /**
   * Asks the registry's own URL for the bytes from an offset on. A host that wants no request for
   * longer than `patienceMs` is not waited for.
   */
  readonly open: (
    offsetBytes: number,
    signal: AbortSignal,
    patienceMs: number,
  ) => Promise<OpenAnswer | Answer>;
  /** Makes sure that a 404 is the registry's own. @throws MirrorError `RESPONSE_INVALID` where it is not */
  readonly requireAbsence: (answer: Answer, signal: AbortSignal) => Promise<void>;
  readonly timing: Timing;
  /** False: Ranges of this blob came to wrong bytes before; a broken download stays broken. */
  readonly mayResume: boolean;
  /** Is told when a resumed download came to wrong bytes. */
  readonly onWrongAfterResume: () => void;
  readonly asked: Asked;
}

/** Batches that lie ready for whoever reads. */
const READY_BATCHES = 2;
/** Resumes of one download. */
const MAX_RESUMES = 3;
/** Statuses of registries and stores that know no Ranges, or not this one. */
const RANGE_REFUSALS = new Set([400, 416, 501]);
/** Longest time without a byte given on, resumes included. */
const MAX_STALL_MS = 30_000;
/**
 * A part that brings less, and is not the rest, counts as a broken download: each part is an exchange
 * with limits of its own, so that a byte a time would keep a stream for days. A socket gives so much at once.
 */
const MIN_PART_BYTES = 64 * 1024;

/**
 * Opens a blob for reading from its beginning. Broken connections are resumed with Range, answered by
 * 206 with the exact Content-Range, at most 3 times; a 200 begins the download anew, and what was
 * given on already is skipped. What holds the last byte is withheld until size and digest agree, so that
 * whoever sends the bytes on never completes a wrong blob.
 *
 * Whoever reads holds one of the places for bodies. So a host that asks for a pause ends the opening,
 * and a resumed download where the pause is longer than its reader waits: with its fault, which names
 * the pause.
 * @returns undefined where it is not there (404)
 * @throws MirrorError `SIZE_MISMATCH`, `DIGEST_MISMATCH`, `RESPONSE_INVALID`, `RATE_LIMITED`; later ones
 *   through the stream
 */
export async function readBlob(
  options: BlobReaderOptions,
  signal: AbortSignal,
): Promise<Readable | undefined> {
  const download = new Download(options, signal);
  return (await download.begin()) ? new BlobStream(download) : undefined;
}

/** One blob over as many connections as it takes; it has at most one open answer, its own to let go. */
class Download {
  readonly #options: BlobReaderOptions;
  readonly #ended = new AbortController();
  readonly #signal: AbortSignal;
  #answer: OpenAnswer | undefined;
  /** Of an answer that is a part: its last byte in the blob. */
  #lastOfPart: number | undefined;

  constructor(options: BlobReaderOptions, signal: AbortSignal) {
    this.#options = options;
    this.#signal = AbortSignal.any([signal, this.#ended.signal]);
  }

  /** Asks for the first byte. False: the blob is not there. */
  async begin(): Promise<boolean> {
    const first = await this.#options.open(0, this.#signal, 0);
    if (!isOpen(first)) {
      if (first.status !== 404) throw failure(first, this.#options.asked);
      await this.#options.requireAbsence(first, this.#signal);
      return false;
    }
    this.#answer = first;
    try {
      checkWhole(first, this.#options);
    } catch (error) {
      this.letGo();
      throw error;
    }
    return true;
  }

  /** Ends whatever is open or being opened. */
  letGo(): void {
    this.#ended.abort();
    this.#answer?.discard();
    this.#answer = undefined;
  }

  /** The blob's bytes, of which the last chunk comes only when all are verified. */
  async *chunks(): AsyncGenerator<Buffer, void, undefined> {
    const { blob, timing, asked } = this.#options;
    const hash = hashFor(blob.digest);
    let skipBytes = 0;
    let readBytes = 0;
    let resumes = 0;
    let resumedAtBytes = 0;
    let withheld: Buffer = Buffer.alloc(0);
    let movedAtMs = timing.now();
    for (;;) {
      const answer = this.#current();
      try {
        for await (const chunk of answer.chunks) {
          const fresh = skipBytes === 0 ? chunk : chunk.subarray(Math.min(skipBytes, chunk.length));
          skipBytes -= chunk.length - fresh.length;
          if (fresh.length === 0) continue;
          readBytes += fresh.length;
          // guard: blob-too-long
          if (readBytes > blob.sizeBytes) throw wrongSize(readBytes, this.#options, answer);
          hash.update(fresh);
          if (readBytes < blob.sizeBytes) yield fresh;
          else withheld = fresh;
          // After the yield: the time in which nobody wanted bytes is no stall.
          movedAtMs = timing.now();
        }
        if (this.#lastOfPart !== undefined && readBytes === this.#lastOfPart + 1) {
          if (readBytes === blob.sizeBytes) break;
          const partBytes = readBytes - resumedAtBytes;
          if (partBytes < MIN_PART_BYTES) {
            throw new MirrorError('NETWORK', `only ${partBytes} bytes of the rest came`);
          }
          resumedAtBytes = readBytes;
          skipBytes = await this.#resume(readBytes, movedAtMs);
          continue;
        }
        if (readBytes < blob.sizeBytes) {
          throw new MirrorError(
            'NETWORK',
            `the body ended after ${readBytes} of ${blob.sizeBytes} bytes`,
          );
        }
        break;
      } catch (error) {
        if (!isMirrorError(error, 'NETWORK', 'TIMEOUT')) throw error;
        const stalledMs = timing.now() - movedAtMs;
        const hopeless = resumes >= MAX_RESUMES || stalledMs > MAX_STALL_MS || this.#signal.aborted;
        if (hopeless || !this.#options.mayResume) throw located(error, asked, answer.url);
        resumes += 1;
        resumedAtBytes = readBytes;
        skipBytes = await this.#resume(readBytes, movedAtMs);
      }
    }
    verify(hash, resumes, this.#options, this.#current());
    yield withheld;
  }

  /**
   * Goes back to the registry's own URL: a store's signed URL may have run out.
   * @returns bytes at the beginning of the new answer that were read before
   */
  async #resume(offsetBytes: number, movedAtMs: number): Promise<number> {
    const { blob, asked } = this.#options;
    // Read to its end, or broken.
    this.#answer = undefined;
    this.#lastOfPart = undefined;
    const answer = await this.#options.open(offsetBytes, this.#signal, this.#leftMs(movedAtMs));
    if (!isOpen(answer)) {
      if (RANGE_REFUSALS.has(answer.status)) return this.#restart(offsetBytes, movedAtMs);
      throw brokenOff(answer, asked);
    }
    this.#answer = answer;
    if (this.#signal.aborted) {
      this.letGo();
      throw abortError(this.#signal);
    }
    if (answer.status === 200) {
      checkWhole(answer, this.#options);
      return offsetBytes;
    }
    const part = partOf(answer.header('content-range'), blob.sizeBytes);
    // guard: content-range
    if (part === undefined || part.first > offsetBytes || part.last < offsetBytes)
      return this.#restart(offsetBytes, movedAtMs);
    this.#lastOfPart = part.last;
    return offsetBytes - part.first;
  }

  /** An answer that is no part of what was asked for says that Ranges do not work here: all is read again. */
  async #restart(readBytes: number, movedAtMs: number): Promise<number> {
    this.#answer?.discard();
    this.#answer = undefined;
    const answer = await this.#options.open(0, this.#signal, this.#leftMs(movedAtMs));
    if (!isOpen(answer)) throw brokenOff(answer, this.#options.asked);
    this.#answer = answer;
    if (this.#signal.aborted) {
      this.letGo();
      throw abortError(this.#signal);
    }
    checkWhole(answer, this.#options);
    return readBytes;
  }

  /** How long whoever reads may still be without a byte. */
  #leftMs(movedAtMs: number): number {
    return Math.max(0, movedAtMs + MAX_STALL_MS - this.#options.timing.now());
  }

  #current(): OpenAnswer {
    if (this.#answer === undefined) throw abortError(this.#signal);
    return this.#answer;
  }
}

/** The registry has begun to send the blob: a 404 to the rest says nothing of whether it is there. */
function brokenOff(answer: Answer, asked: Asked): MirrorError {
  return failure(answer, asked, answer.status === 404 ? 'RESPONSE_INVALID' : undefined);
}

/**
 * The bytes of a part (RFC 9110 §14.4: `bytes 5-9/10` or `bytes 5-9/*`); a server may send less than was
 * asked for, and the rest is asked for again. Undefined: it is no part of a blob of this size.
 */
function partOf(
  contentRange: string | undefined,
  sizeBytes: number,
): { readonly first: number; readonly last: number } | undefined {
  const match = /^\s*bytes\s+(\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)\s*$/i.exec(contentRange ?? '');
  if (match === null) return undefined;
  const [first, last] = [Number(match[1]), Number(match[2])];
  const isOfBlob = match[3] === '*' || Number(match[3]) === sizeBytes;
  return isOfBlob && first <= last && last < sizeBytes ? { first, last } : undefined;
}

/**
 * A whole answer announces the descriptor's size, where it announces one. What else it says of itself
 * (a store's `Content-Encoding` that is none) is no reason to refuse it: the digest decides.
 */
function checkWhole(answer: OpenAnswer, options: BlobReaderOptions): void {
  const { blob, asked } = options;
  // guard: blob-partial
  if (answer.status !== 200)
    throw new MirrorError(
      'RESPONSE_INVALID',
      'the registry answers with a part where all was asked',
      {
        operation: asked.operation,
        side: asked.side,
        url: redactUrl(answer.url),
        status: answer.status,
      },
    );
  const length = answer.header('content-length');
  // guard: blob-content-length
  if (length !== undefined && length !== String(blob.sizeBytes))
    throw wrongSize(Number(length), options, answer);
}

function verify(hash: Hash, resumes: number, options: BlobReaderOptions, answer: OpenAnswer): void {
  const { blob, asked, onWrongAfterResume } = options;
  const matches = hashMatches(hash, blob.digest);
  if (!matches && resumes > 0) onWrongAfterResume();
  // guard: blob-digest
  if (!matches)
    throw new MirrorError('DIGEST_MISMATCH', 'the bytes have another digest', {
      operation: asked.operation,
      side: asked.side,
      url: redactUrl(answer.url),
      digests: [blob.digest],
    });
}

function wrongSize(
  bytes: number,
  { blob, asked }: BlobReaderOptions,
  answer: OpenAnswer,
): MirrorError {
  return new MirrorError('SIZE_MISMATCH', `${bytes} bytes in place of ${blob.sizeBytes}`, {
    operation: asked.operation,
    side: asked.side,
    url: redactUrl(answer.url),
    digests: [blob.digest],
  });
}

/**
 * A stream over an iterator that lets go at once: `Readable.from` would wait for the chunk that it
 * has asked for before it ends a connection that gives none.
 */
class BlobStream extends Readable {
  readonly #download: Download;
  readonly #chunks: AsyncGenerator<Buffer, void, undefined>;

  constructor(download: Download) {
    // Chunks stay apart: a stream of bytes would copy what lies ready into one buffer.
    super({ objectMode: true, highWaterMark: READY_BATCHES });
    this.#download = download;
    this.#chunks = download.chunks();
  }

  /** Answered by one `push`, before which it is not called again (Node, "readable._read(size)"). */
  override _read(): void {
    this.#pull().catch((error: unknown) => {
      this.destroy(error instanceof Error ? error : abortError(AbortSignal.abort()));
    });
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#download.letGo();
    callback(error);
  }

  async #pull(): Promise<void> {
    const next = await this.#chunks.next();
    if (!this.destroyed) this.push(next.done === true ? null : next.value);
  }
}

/** Bytes of a batch: TLS brings them in records of 16 KiB, and each piece that goes on costs the same. */
const BATCH_BYTES = 512 * 1024;
/** How often what came is given on although its batch is not full: 512 KiB come in between at 50 MiB a second. */
const GATHER_MS = 10;
/** Memory of batches that is kept for the next ones: two for each of a process's 16 streams. */
const MAX_FREE_BATCHES = 32;
/**
 * From this size on a body is read past Node's HTTP parser, which copies each piece into new memory: over TLS
 * that is 1.4 of 3.9 CPU-seconds a GiB. The parser waits for the body's end for ever, so that the connection
 * serves nothing else: a handshake of 2 ms, where 32 MiB save 40.
 */
const DIRECT_FROM_BYTES = 32 * 1024 * 1024;

/**
 * Memory of batches that the upload's connection has taken. New memory for each, a GiB of it for a blob of
 * a GiB, would keep the garbage collector busy.
 */
const freeBatches: ArrayBuffer[] = [];
const ofBatches = new WeakSet<ArrayBufferLike>();

function newBatch(sizeBytes: number): Buffer {
  if (sizeBytes < BATCH_BYTES) return Buffer.allocUnsafe(sizeBytes);
  const memory = freeBatches.pop() ?? new ArrayBuffer(BATCH_BYTES);
  ofBatches.add(memory);
  return Buffer.from(memory);
}

/** Takes a batch back for another one: to be called when nobody reads it any more. */
function recycle({ buffer }: Buffer): void {
  // Deleted, so that none is given back twice.
  if (!ofBatches.delete(buffer) || freeBatches.length >= MAX_FREE_BATCHES) return;
  freeBatches.push(buffer as ArrayBuffer);
}

/**
 * The body of an answer in batches: full ones, or what there is where no more comes for a moment. To be called
 * when the answer's head is told.
 * @param onWhole told when the last byte of a large body came, of which Node never tells the end
 * @throws what the answer is broken with
 */
export function bodyBatches(
  response: IncomingMessage,
  onWhole: () => void,
): AsyncGenerator<Buffer, void, undefined> {
  return new BodyBatches(response, onWhole).batches();
}

class BodyBatches implements DirectReader {
  readonly #response: IncomingMessage;
  readonly #onWhole: () => void;
  readonly #batchBytes: number;
  readonly #isDirect: boolean;
  readonly #full: Buffer[] = [];
  /** Of a body that is read directly; its end is nobody else's to tell. */
  #leftBytes = Infinity;
  #hasBegun = false;
  /** Memory that is being filled; what of it is filled, and what of that was given on. */
  #batch: Buffer | undefined;
  #filledBytes = 0;
  #givenBytes = 0;
  #ended = false;
  #error: Error | undefined;
  #wake: (() => void) | undefined;
  #cancelPart: (() => void) | undefined;

  constructor(response: IncomingMessage, onWhole: () => void) {
    this.#response = response;
    this.#onWhole = onWhole;
    const sizeBytes = sizeOf(response) ?? Infinity;
    // A small blob needs no more than its own size.
    this.#batchBytes = Math.min(BATCH_BYTES, sizeBytes);
    const isLarge = sizeBytes >= DIRECT_FROM_BYTES && sizeBytes < Infinity;
    // Of other answers the length may be that of a body that does not follow (304).
    const hasBody = response.statusCode === 200 || response.statusCode === 206;
    this.#isDirect = isLarge && hasBody && readDirectly(response.socket, this);
    if (this.#isDirect) this.#leftBytes = sizeBytes;
  }

  get leftBytes(): number {
    return this.#leftBytes;
  }

  room(): Buffer {
    if (!this.#hasBegun) {
      this.#hasBegun = true;
      // What came together with the head.
      const first = this.#response.read() as Buffer | null;
      if (first !== null) this.#copy(first);
    }
    this.#batch ??= newBatch(this.#batchBytes);
    return this.#batch.subarray(this.#filledBytes, this.#filledBytes + this.#leftBytes);
  }

  took(sizeBytes: number): boolean {
    this.#filledBytes += sizeBytes;
    this.#leftBytes -= sizeBytes;
    if (this.#filledBytes === this.#batch?.length) this.#close();
    if (this.#leftBytes === 0) {
      this.#onWhole();
      this.#end();
    } else this.#tell();
    return this.#full.length === 0;
  }

  async *batches(): AsyncGenerator<Buffer, void, undefined> {
    const response = this.#response;
    const ignore = finished(response, { writable: false }, (reason) => {
      if (this.#ended) return;
      this.#error = reason ?? undefined;
      this.#end();
    });
    if (!this.#isDirect) {
      this.#hasBegun = true;
      response.on('data', (chunk: Buffer) => {
        this.#copy(chunk);
        if (this.#full.length > 0) response.pause();
      });
    }
    try {
      for (;;) {
        const next = this.#full.shift();
        if (next !== undefined) yield next;
        else if (this.#error !== undefined) throw this.#error;
        else if (this.#ended) return;
        else await this.#gather();
      }
    } finally {
      ignore();
      this.#cancelPart?.();
    }
  }

  /** Until a batch is full, the body has ended, or it is time for what there is. */
  async #gather(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      this.#tell();
      if (this.#isDirect) this.#response.socket.resume();
      else this.#response.resume();
    });
    this.#wake = undefined;
  }

  #tell(): void {
    if (this.#wake === undefined) return;
    if (this.#full.length > 0 || this.#ended) this.#wake();
    else if (this.#filledBytes > this.#givenBytes)
      this.#cancelPart ??= SYSTEM_TIMING.setTimer(GATHER_MS, this.#givePart);
  }

  /** Gives a copy: the rest of the memory is where the next bytes go to. */
  readonly #givePart = (): void => {
    this.#cancelPart = undefined;
    if (this.#wake === undefined || this.#filledBytes === this.#givenBytes) return;
    if (this.#batch !== undefined)
      this.#full.push(Buffer.from(this.#batch.subarray(this.#givenBytes, this.#filledBytes)));
    this.#givenBytes = this.#filledBytes;
    this.#tell();
  };

  #copy(chunk: Buffer): void {
    for (let at = 0; at < chunk.length;) {
      const count = chunk.copy(this.room(), 0, at);
      at += count;
      this.took(count);
    }
  }

  #close(): void {
    if (this.#batch !== undefined && this.#filledBytes > this.#givenBytes)
      this.#full.push(this.#batch.subarray(this.#givenBytes, this.#filledBytes));
    this.#batch = undefined;
    this.#filledBytes = 0;
    this.#givenBytes = 0;
  }

  #end(): void {
    this.#ended = true;
    this.#close();
    this.#tell();
  }
}

/** Bytes of the body, where the head says it. */
function sizeOf({ headers }: IncomingMessage): number | undefined {
  const { 'content-length': length = '', 'transfer-encoding': coding } = headers;
  return coding === undefined && /^[1-9]\d{0,14}$/.test(length) ? Number(length) : undefined;
}

/** Bytes of one blob on their way up; read once. */
export interface StreamBody {
  readonly stream: Readable;
  /** At least 1. */
  readonly sizeBytes: number;
  /** Told the bytes that the connection took, as it takes them. */
  readonly onBytes?: ((count: number) => void) | undefined;
}

/**
 * After the last byte a registry hashes the blob, and one over an object store copies it to its place: the
 * slowest seen takes a minute and more for a GiB. 10 MiB a second are waited for on top of the idle limit.
 */
const COMMIT_BYTES_PER_MS = (10 * 1024 * 1024) / 1000;

/** Gives one stream to one connection. */
export interface StreamSender {
  /**
   * Gives chunk by chunk, up to the last byte or until it is stopped. The idle timer runs only while
   * the connection has bytes to take.
   * @returns whether the connection took all bytes
   * @throws MirrorError `SIZE_MISMATCH` where the stream has more or fewer bytes, and what the stream throws
   */
  send(): Promise<boolean>;
  /**
   * There is a response or a failure: nothing more is given. A server that answers early and keeps
   * the connection would let us wait for ever.
   */
  stop(): void;
  /** Whether the last byte was given, taken or not. */
  readonly gaveAll: boolean;
}

/**
 * A sender that begins at {@link StreamSender.send}.
 * @param onFlow told when the connection took the first bytes
 */
export function streamSender(
  request: ClientRequest,
  body: StreamBody,
  idle: IdleTimer,
  onFlow: () => void = () => undefined,
): StreamSender {
  return new Sender(request, body, idle, onFlow);
}

class Sender implements StreamSender {
  readonly #request: ClientRequest;
  readonly #body: StreamBody;
  readonly #idle: IdleTimer;
  readonly #onFlow: () => void;
  #flows = false;
  #stopped = false;
  #gaveAll = false;
  #wake: () => void = () => undefined;

  constructor(request: ClientRequest, body: StreamBody, idle: IdleTimer, onFlow: () => void) {
    this.#request = request;
    this.#body = body;
    this.#idle = idle;
    this.#onFlow = onFlow;
  }

  get gaveAll(): boolean {
    return this.#gaveAll;
  }

  stop(): void {
    this.#stopped = true;
    this.#wake();
  }

  async send(): Promise<boolean> {
    const { stream, sizeBytes } = this.#body;
    let givenBytes = 0;
    this.#idle.rest();
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      if (this.#stopped) return false;
      givenBytes += chunk.length;
      // guard: upload-size
      if (givenBytes > sizeBytes) throw wrongLength(givenBytes, sizeBytes);
      // The length is announced: the last byte ends the body, whatever the stream does after it.
      if (givenBytes === sizeBytes) return this.#end(chunk);
      this.#give(chunk);
      // One at a time: the kernel holds enough for the connection meanwhile, and TLS would copy several into one.
      await this.#room();
    }
    throw wrongLength(givenBytes, sizeBytes);
  }

  #give(chunk: Buffer): void {
    this.#idle.wait();
    this.#request.write(chunk, (error) => {
      if (error !== null && error !== undefined) return;
      recycle(chunk);
      this.#taken(chunk.length);
    });
  }

  #taken(count: number): void {
    this.#flow(count);
    this.#idle.rest();
    this.#wake();
  }

  #flow(count: number): void {
    this.#body.onBytes?.(count);
    this.#idle.moved(count);
    if (this.#flows) return;
    this.#flows = true;
    this.#onFlow();
  }

  #room(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
      if (this.#stopped) resolve();
    });
  }

  /** From the last byte on we wait for the answer. */
  #end(lastChunk: Buffer): Promise<boolean> {
    this.#gaveAll = true;
    return new Promise((resolve) => {
      this.#wake = () => {
        if (this.#stopped) resolve(false);
      };
      const done = (): void => {
        this.#flow(lastChunk.length);
        this.#idle.restart(this.#body.sizeBytes / COMMIT_BYTES_PER_MS);
        resolve(true);
      };
      this.#idle.wait();
      this.#request.end(lastChunk, done);
    });
  }
}

function wrongLength(bytes: number, sizeBytes: number): MirrorError {
  return new MirrorError('SIZE_MISMATCH', `${bytes} bytes in place of ${sizeBytes}`);
}
