import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { OpenRecord, RequestCounter } from './counter.ts';
import {
  refusalAnswer,
  type Answer,
  type BrokenEnding,
  type Handler,
  type RegistryRequest,
} from './exchange.ts';
import { RegistryRefusal } from './refusal.ts';

/** Time given to the kernel to pass on what was written before a connection is reset, in milliseconds. */
const FLUSH_MS = 10;

/** Bytes written at once: as many as a loopback socket takes without waiting long. */
const BATCH_BYTES = 512 * 1024;

/** What one listening address serves. */
export interface ListenerOptions {
  readonly scheme: 'http' | 'https';
  readonly host: 'registry' | 'downloads';
  readonly handler: Handler;
  readonly counter: RequestCounter;
}

/** Connects a handler to Node's HTTP server: counts, streams, and breaks answers off where they say so. */
export function createListener(options: ListenerOptions): RequestListener {
  return (message, response) => {
    const record = options.counter.begin({
      method: message.method ?? 'GET',
      url: message.url ?? '/',
      headers: message.headers,
      host: options.host,
    });
    response.on('close', () => {
      options.counter.end();
    });
    response.on('error', () => undefined);
    serve(options, message, response, record).catch(() => {
      // The client has gone: there is nobody to answer.
      message.socket.destroy();
    });
  };
}

async function serve(
  options: ListenerOptions,
  message: IncomingMessage,
  response: ServerResponse,
  record: OpenRecord,
): Promise<void> {
  const answer = await answerOf(options.handler, toRequest(options.scheme, message, record));
  record.status = answer.ending?.after === 'head' ? 0 : answer.status;
  if (!message.readableEnded) {
    if (answer.unread === 'hold') holdBody(message);
    else drainBody(message, record);
  }
  await send(answer, message, response);
}

async function answerOf(handler: Handler, request: RegistryRequest): Promise<Answer> {
  try {
    return await handler(request);
  } catch (error) {
    if (error instanceof RegistryRefusal) return refusalAnswer(error);
    if (error instanceof URIError) {
      return refusalAnswer(new RegistryRefusal(400, 'NAME_INVALID', 'malformed escape in path'));
    }
    if (error instanceof Error && 'code' in error && error.code === 'ECONNRESET') throw error;
    const message = error instanceof Error ? error.message : String(error);
    return refusalAnswer(new RegistryRefusal(500, 'UNKNOWN', message));
  }
}

function toRequest(scheme: string, message: IncomingMessage, record: OpenRecord): RegistryRequest {
  const [path = '/', ...rest] = (message.url ?? '/').split('?');
  const rawQuery = rest.join('?');
  return {
    method: message.method ?? 'GET',
    path,
    rawQuery,
    query: new URLSearchParams(rawQuery),
    headers: message.headers,
    origin: `${scheme}://${message.headers.host ?? ''}`,
    body: countedBody(message, record),
  };
}

async function* countedBody(
  message: IncomingMessage,
  record: OpenRecord,
): AsyncGenerator<Buffer, void, undefined> {
  for await (const chunk of message.iterator({ destroyOnReturn: false })) {
    const bytes = chunk as Buffer;
    record.bytesIn += bytes.length;
    yield bytes;
  }
}

/** Reads what no handler wanted, so that the client can finish and the connection can be used again. */
function drainBody(message: IncomingMessage, record: OpenRecord): void {
  message.on('data', (chunk: Buffer) => {
    record.bytesIn += chunk.length;
  });
}

/** Leaves the body in the socket: marks it as taken, or Node would read it to its end. */
function holdBody(message: IncomingMessage): void {
  message.read(0);
}

async function send(
  answer: Answer,
  message: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { ending, body } = answer;
  if (ending?.after === 'head') {
    await breakOff(ending, message);
    return;
  }
  response.writeHead(answer.status, answer.headers);
  if (body !== undefined && message.method !== 'HEAD') {
    const end = Math.min(ending?.after ?? body.sizeBytes, body.sizeBytes);
    await writeAll(body.read(0, end), response);
    if (response.destroyed) return;
  }
  if (ending === undefined) {
    response.end();
    return;
  }
  // An answer that is whole is finished before its connection breaks.
  if (ending.after >= (body?.sizeBytes ?? 0) && ending.by === 'reset') response.end();
  else response.flushHeaders();
  await sleep(FLUSH_MS);
  await breakOff(ending, message);
}

/** Writes in batches, so that many small chunks cost few system calls, and no faster than they are read. */
async function writeAll(chunks: Iterable<Buffer>, response: ServerResponse): Promise<void> {
  let batched = 0;
  for (const chunk of chunks) {
    if (batched === 0) response.cork();
    response.write(chunk);
    batched += chunk.length;
    if (batched < BATCH_BYTES) continue;
    response.uncork();
    batched = 0;
    if (response.writableNeedDrain) await drained(response);
    if (response.destroyed) return;
  }
  if (batched > 0) response.uncork();
  if (response.writableNeedDrain) await drained(response);
}

async function breakOff(ending: BrokenEnding, message: IncomingMessage): Promise<void> {
  const { socket } = message;
  if (ending.by === 'reset') socket.resetAndDestroy();
  else if (ending.by === 'close') socket.destroySoon();
  else if (!socket.destroyed) await once(socket, 'close');
}

/** Waits until the socket takes more, or is gone. */
async function drained(response: ServerResponse): Promise<void> {
  if (response.destroyed) return;
  await new Promise<void>((resolve) => {
    function settle(): void {
      response.off('drain', settle);
      response.off('close', settle);
      resolve();
    }
    response.on('drain', settle);
    response.on('close', settle);
  });
}
