import type { ClientRequest } from 'node:http';
import type { Readable } from 'node:stream';

import { Fault } from '../fault.ts';
import type { IdleTimer } from './idle-timer.ts';

/** Bytes of one blob on their way up; read once. */
export interface StreamBody {
  readonly stream: Readable;
  readonly sizeBytes: number;
  /** Told the bytes that the connection took, as it takes them. */
  readonly onBytes?: ((count: number) => void) | undefined;
}

/** Bytes given to a connection before it took the first of them: four chunks of a socket. */
const WRITE_AHEAD_BYTES = 256 * 1024;

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
   * @throws Fault `SIZE_MISMATCH` where the stream has more or fewer bytes, and what the stream throws
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
  #pendingBytes = 0;
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
    if (sizeBytes === 0) return this.#end(undefined);
    this.#idle.rest();
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      if (this.#stopped) return false;
      givenBytes += chunk.length;
      // guard: upload-size
      if (givenBytes > sizeBytes) throw wrongSize(givenBytes, sizeBytes);
      // The length is announced: the last byte ends the body, whatever the stream does after it.
      if (givenBytes === sizeBytes) return this.#end(chunk);
      this.#give(chunk);
      if (this.#pendingBytes >= WRITE_AHEAD_BYTES) await this.#room();
    }
    throw wrongSize(givenBytes, sizeBytes);
  }

  #give(chunk: Buffer): void {
    this.#idle.wait();
    this.#pendingBytes += chunk.length;
    this.#request.write(chunk, (error) => {
      if (error === null || error === undefined) this.#taken(chunk.length);
    });
  }

  #taken(count: number): void {
    this.#pendingBytes -= count;
    this.#flow(count);
    if (this.#pendingBytes > 0) this.#idle.wait();
    else this.#idle.rest();
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
  #end(lastChunk: Buffer | undefined): Promise<boolean> {
    this.#gaveAll = true;
    return new Promise((resolve) => {
      this.#wake = () => {
        if (this.#stopped) resolve(false);
      };
      const done = (): void => {
        this.#flow(lastChunk?.length ?? 0);
        this.#idle.restart(this.#body.sizeBytes / COMMIT_BYTES_PER_MS);
        resolve(true);
      };
      this.#idle.wait();
      if (lastChunk === undefined) this.#request.end(done);
      else this.#request.end(lastChunk, done);
    });
  }
}

function wrongSize(bytes: number, sizeBytes: number): Fault {
  return new Fault('SIZE_MISMATCH', `${bytes} bytes in place of ${sizeBytes}`);
}
