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
 * Gives a stream to a connection, chunk by chunk, up to its last byte, or until `over` says that
 * there is an early response or a failure: a server that answers early and keeps the connection
 * would let us wait for ever. The idle timer runs only while the connection has bytes to take.
 * @returns whether the connection took all bytes
 * @throws Fault `SIZE_MISMATCH` where the stream has more or fewer bytes, and what the stream throws
 */
export async function sendStream(
  request: ClientRequest,
  body: StreamBody,
  idle: IdleTimer,
  over: AbortSignal,
): Promise<boolean> {
  const sender = new StreamSender(request, body, idle, over);
  return sender.send();
}

class StreamSender {
  readonly #request: ClientRequest;
  readonly #body: StreamBody;
  readonly #idle: IdleTimer;
  readonly #over: AbortSignal;
  #pendingBytes = 0;
  #wake: () => void = () => undefined;

  constructor(request: ClientRequest, body: StreamBody, idle: IdleTimer, over: AbortSignal) {
    this.#request = request;
    this.#body = body;
    this.#idle = idle;
    this.#over = over;
    over.addEventListener(
      'abort',
      () => {
        this.#wake();
      },
      { once: true },
    );
  }

  async send(): Promise<boolean> {
    const { stream, sizeBytes } = this.#body;
    let givenBytes = 0;
    if (sizeBytes === 0) return this.#end(undefined);
    this.#idle.rest();
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      if (this.#over.aborted) return false;
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
    this.#body.onBytes?.(count);
    if (this.#pendingBytes > 0) this.#idle.wait();
    else this.#idle.rest();
    this.#wake();
  }

  #room(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
      if (this.#over.aborted) resolve();
    });
  }

  /** From the last byte on we wait for the answer. */
  #end(lastChunk: Buffer | undefined): Promise<boolean> {
    return new Promise((resolve) => {
      this.#wake = () => {
        if (this.#over.aborted) resolve(false);
      };
      const done = (): void => {
        this.#body.onBytes?.(lastChunk?.length ?? 0);
        this.#idle.wait();
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
