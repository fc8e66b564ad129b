import type { Hash } from 'node:crypto';
import { Readable } from 'node:stream';

import { Fault, isFault } from '../fault.ts';
import { hashFor, hashMatches } from '../oci/digest.ts';
import { isOpen, type OpenAnswer } from './request.ts';
import { failure, located, type Answer, type Asked } from './failure.ts';
import { redactUrl } from './redact.ts';
import { abortFault, type Timing } from '../concurrency.ts';

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
  /** Makes sure that a 404 is the registry's own. @throws Fault `RESPONSE_INVALID` where it is not */
  readonly requireAbsence: (answer: Answer, signal: AbortSignal) => Promise<void>;
  readonly timing: Timing;
  /** False: Ranges of this blob came to wrong bytes before; a broken download stays broken. */
  readonly mayResume: boolean;
  /** Is told when a resumed download came to wrong bytes. */
  readonly onWrongAfterResume: () => void;
  readonly asked: Asked;
}

/** Chunks that lie ready for whoever reads: of 64 KiB at most, as a socket gives them. */
const READY_CHUNKS = 4;
/** Resumes of one download. */
const MAX_RESUMES = 3;
/** Statuses of registries and stores that know no Ranges, or not this one. */
const RANGE_REFUSALS = new Set([400, 416, 501]);
/** Longest time without a byte given on, resumes included. */
const MAX_STALL_MS = 30_000;
/**
 * A part that brings less, and is not the rest, counts as a broken download: each part is an exchange
 * with limits of its own, so that a byte a time would keep a stream for days. What a socket gives at once.
 */
const MIN_PART_BYTES = 64 * 1024;

/**
 * Opens a blob for reading from its beginning. Broken connections are resumed with Range, answered by
 * 206 with the exact Content-Range, at most 3 times; a 200 begins the download anew, and what was
 * given on already is skipped. The last chunk is withheld until size and digest agree, so that
 * whoever sends the bytes on never completes a wrong blob.
 *
 * Whoever reads holds one of the places for bodies. So a host that asks for a pause ends the opening,
 * and a resumed download where the pause is longer than it may starve: with its fault, which names
 * the pause.
 * @returns undefined where it is not there (404)
 * @throws Fault `SIZE_MISMATCH`, `DIGEST_MISMATCH`, `RESPONSE_INVALID`, `RATE_LIMITED`; later ones
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

  /** The verified chunks. */
  async *chunks(): AsyncGenerator<Buffer, void, undefined> {
    const { blob, timing, asked } = this.#options;
    const hash = hashFor(blob.digest);
    let skipBytes = 0;
    let readBytes = 0;
    let resumes = 0;
    let resumedAtBytes = 0;
    let withheld: Buffer | undefined;
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
          if (withheld !== undefined) yield withheld;
          withheld = fresh;
          // After the yield: the time in which nobody wanted bytes is no stall.
          movedAtMs = timing.now();
        }
        if (this.#lastOfPart !== undefined && readBytes === this.#lastOfPart + 1) {
          if (readBytes === blob.sizeBytes) break;
          const partBytes = readBytes - resumedAtBytes;
          if (partBytes < MIN_PART_BYTES) {
            throw new Fault('NETWORK', `only ${partBytes} bytes of the rest came`);
          }
          resumedAtBytes = readBytes;
          skipBytes = await this.#resume(readBytes, movedAtMs);
          continue;
        }
        if (readBytes < blob.sizeBytes) {
          throw new Fault(
            'NETWORK',
            `the body ended after ${readBytes} of ${blob.sizeBytes} bytes`,
          );
        }
        break;
      } catch (error) {
        if (!isFault(error, 'NETWORK', 'TIMEOUT')) throw error;
        const stalledMs = timing.now() - movedAtMs;
        const hopeless = resumes >= MAX_RESUMES || stalledMs > MAX_STALL_MS || this.#signal.aborted;
        if (hopeless || !this.#options.mayResume) throw located(error, asked, answer.url);
        resumes += 1;
        resumedAtBytes = readBytes;
        skipBytes = await this.#resume(readBytes, movedAtMs);
      }
    }
    verify(hash, resumes, this.#options, this.#current());
    if (withheld !== undefined) yield withheld;
  }

  /**
   * Goes back to the registry's own URL: a store's signed URL may have run out.
   * @returns bytes at the beginning of the new answer that were read before
   */
  async #resume(offsetBytes: number, movedAtMs: number): Promise<number> {
    const { blob, asked } = this.#options;
    this.#answer?.discard();
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
      throw abortFault(this.#signal);
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
      throw abortFault(this.#signal);
    }
    checkWhole(answer, this.#options);
    return readBytes;
  }

  /** How long whoever reads may still be without a byte. */
  #leftMs(movedAtMs: number): number {
    return Math.max(0, movedAtMs + MAX_STALL_MS - this.#options.timing.now());
  }

  #current(): OpenAnswer {
    if (this.#answer === undefined) throw abortFault(this.#signal);
    return this.#answer;
  }
}

/** The registry has begun to send the blob: a 404 to the rest says nothing of whether it is there. */
function brokenOff(answer: Answer, asked: Asked): Fault {
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
    throw new Fault('RESPONSE_INVALID', 'the registry answers with a part where all was asked', {
      operation: asked.operation,
      side: asked.side,
      url: redactUrl(answer.url),
      status: answer.status,
    });
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
    throw new Fault('DIGEST_MISMATCH', 'the bytes have another digest', {
      operation: asked.operation,
      side: asked.side,
      url: redactUrl(answer.url),
      digests: [blob.digest],
    });
}

function wrongSize(bytes: number, { blob, asked }: BlobReaderOptions, answer: OpenAnswer): Fault {
  return new Fault('SIZE_MISMATCH', `${bytes} bytes in place of ${blob.sizeBytes}`, {
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
    super({ objectMode: true, highWaterMark: READY_CHUNKS });
    this.#download = download;
    this.#chunks = download.chunks();
  }

  /** Answered by one `push`, before which it is not called again (Node, "readable._read(size)"). */
  override _read(): void {
    this.#pull().catch((error: unknown) => {
      this.destroy(error instanceof Error ? error : abortFault(AbortSignal.abort()));
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
