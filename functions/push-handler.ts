import { randomUUID } from 'node:crypto';
import type {
  IncomingHttpHeaders,
  IncomingMessage,
  RequestListener,
  ServerResponse,
} from 'node:http';

import { SYSTEM_TIMING } from './concurrency.ts';
import { MAX_BODY_BYTES, saysTooLarge } from './push-body.ts';
import type { PushRequest } from './subscriber/subscriber.ts';
import type { Logger } from './telemetry/logger.ts';
import { traceparentOf } from './telemetry/trace.ts';

/** What stands behind the handler. */
export interface Behind {
  /** Executes a message. @throws where it is to be delivered again */
  readonly handle: (incoming: unknown, request: PushRequest) => Promise<void>;
  readonly logger: Logger;
}

/**
 * Answers pushes: 204 where a message is done with, 500 where it is to be delivered again. Every body
 * is taken as bytes, whatever its content type says, so that one that is no JSON becomes a dead letter
 * and not a delivery without end. Other methods, and bodies larger than any push, are answered here.
 *
 * An image needs no framework for this: loading functions-framework took a third of a cold start.
 */
export function pushHandler({ handle, logger }: Behind): RequestListener {
  return (request, response) => {
    const push = pushRequest(request);
    if (request.method !== 'POST') {
      refuseMethod(request, response, logger);
      return;
    }
    bodyOf(request).then(
      (body) => {
        if (typeof body === 'number') refuseBody(body, response, logger);
        else answer(handle(incomingOf(request.headers, body), push), response);
      },
      () => {
        // Nobody is there any more to be answered; Pub/Sub delivers it again.
        logger.warning('a push was cut before its body was whole');
      },
    );
  };
}

/**
 * A body as it came: nothing decompresses it, since Pub/Sub never compresses and 1 MB can become 1 GB.
 * Its size so far, where it is larger than any push. @throws Error where the connection ended before it
 */
async function bodyOf(request: IncomingMessage): Promise<Buffer | number> {
  // guard: body-size
  if (saysTooLarge(request.headers)) return Number(request.headers['content-length']);
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    sizeBytes += (chunk as Buffer).length;
    // guard: body-size
    if (sizeBytes > MAX_BODY_BYTES) return sizeBytes;
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks);
}

function pushRequest(request: IncomingMessage): PushRequest {
  return {
    arrivedAtMs: SYSTEM_TIMING.now(),
    executionId: headerOf(request, 'function-execution-id') ?? randomUUID().slice(0, 8),
    // Cloud Run's front end sends both forms; a proxy may send on the older one alone.
    traceparent:
      headerOf(request, 'traceparent') ?? traceparentOf(headerOf(request, 'x-cloud-trace-context')),
    // Of an unwrapped push with metadata (cloud.google.com/pubsub/docs/payload-unwrapping).
    messageId: headerOf(request, 'x-goog-pubsub-message-id'),
  };
}

/** GET is answered 200, so that a probe or a person sees that it lives; anything else 405. */
function refuseMethod(request: IncomingMessage, response: ServerResponse, logger: Logger): void {
  const { method = '' } = request;
  const reads = method === 'GET' || method === 'HEAD';
  logger.info(`${method} answered without the function`, { method });
  response.writeHead(reads ? 200 : 405, {
    'content-type': 'text/plain; charset=utf-8',
    ...(reads ? {} : { allow: 'GET, HEAD, POST' }),
  });
  response.end(method === 'GET' ? 'imagerepo-mirror takes CloudEvents by POST.\n' : undefined);
}

/** No push of Pub/Sub: what is left of it is not read. */
function refuseBody(messageBytes: number, response: ServerResponse, logger: Logger): void {
  logger.warning(`a body of ${messageBytes} bytes or more is refused`, { messageBytes });
  response.writeHead(413, { connection: 'close' }).end();
}

function answer(handled: Promise<void>, response: ServerResponse): void {
  handled.then(
    () => {
      response.writeHead(204).end();
    },
    () => {
      response.writeHead(500).end();
    },
  );
}

/** Attributes that make a request a CloudEvent in binary content mode (CloudEvents HTTP binding, 3.1). */
const REQUIRED_ATTRIBUTES = ['ce-type', 'ce-specversion', 'ce-source', 'ce-id'];

/**
 * What a push says: a CloudEvent, its attributes out of the headers that an unwrapped push makes of
 * them; a message without data, likewise; or the bytes alone.
 */
function incomingOf(headers: IncomingHttpHeaders, body: Buffer): unknown {
  const attributes = Object.entries(headers).filter(
    (entry): entry is [string, string] =>
      entry[0].startsWith('ce-') && typeof entry[1] === 'string',
  );
  if (body.length === 0) {
    return { message: { attributes: Object.fromEntries(attributes), data: '' } };
  }
  if (!REQUIRED_ATTRIBUTES.every((name) => Boolean(headers[name]))) return body;
  const context = attributes.map(([name, value]) => [name.slice('ce-'.length), value]);
  // The request's own trace is that of this delivery.
  const { traceparent } = headers;
  return { ...Object.fromEntries(context), ...(traceparent && { traceparent }), data: body };
}

function headerOf({ headers }: IncomingMessage, name: string): string | undefined {
  const value = headers[name];
  return typeof value === 'string' && value !== '' ? value : undefined;
}
