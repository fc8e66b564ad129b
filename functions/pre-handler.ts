import { AsyncLocalStorage } from 'node:async_hooks';
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';

import { SYSTEM_TIMING } from './concurrency.ts';
import { boundBody, saysTooLarge } from './push-body.ts';
import type { PushRequest } from './subscriber/subscriber.ts';
import type { Logger } from './telemetry/logger.ts';
import { traceparentOf } from './telemetry/trace.ts';

/** What the framework does not tell a CloudEvent function about its request. */
export const currentRequest = new AsyncLocalStorage<PushRequest>();

/** What stands behind the pre-handler. */
export interface Behind {
  /** The framework's own handling. */
  readonly framework: RequestListener;
  /** Executes a message without a body. @throws where it is to be delivered again */
  readonly handle: (incoming: unknown, request: PushRequest) => Promise<void>;
  readonly logger: Logger;
}

/**
 * Stands before the framework: it answers what the framework would fail on (GET, other methods,
 * bodies that are empty), and gives every other body on as bytes, so that a body that is no JSON, or
 * has no content type, becomes a dead letter instead of an error of the parser for ever.
 */
export function preHandler({ framework, handle, logger }: Behind): RequestListener {
  return (request, response) => {
    const push = pushRequest(request);
    if (request.method !== 'POST') {
      refuseMethod(request, response, logger);
      return;
    }
    // guard: body-size
    if (saysTooLarge(request.headers)) {
      refuseBody(request, response, logger);
      return;
    }
    boundBody(request);
    currentRequest.run(push, () => {
      if (isEmpty(request)) {
        answer(handle(bodiless(request), push), response);
        return;
      }
      // The raw parser of the framework takes any type but those it reads by itself.
      request.headers['content-type'] = 'application/octet-stream';
      request.headers['function-execution-id'] ??= push.executionId;
      framework(request, response);
    });
  };
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

/** No push of Pub/Sub: nothing of it is read. */
function refuseBody(request: IncomingMessage, response: ServerResponse, logger: Logger): void {
  const messageBytes = Number(request.headers['content-length']);
  logger.warning(`a body of ${messageBytes} bytes is refused`, { messageBytes });
  response.writeHead(413, { connection: 'close' }).end();
}

function isEmpty({ headers }: IncomingMessage): boolean {
  if (headers['transfer-encoding'] !== undefined) return false;
  return headers['content-length'] === undefined || headers['content-length'] === '0';
}

/** A message without data, its attributes out of the headers that an unwrapped push makes of them. */
function bodiless({ headers }: IncomingMessage): unknown {
  const attributes = Object.entries(headers).filter(
    ([name, value]) => name.startsWith('ce-') && typeof value === 'string',
  );
  return { message: { attributes: Object.fromEntries(attributes), data: '' } };
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

function headerOf({ headers }: IncomingMessage, name: string): string | undefined {
  const value = headers[name];
  return typeof value === 'string' && value !== '' ? value : undefined;
}
