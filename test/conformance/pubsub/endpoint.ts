import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';

/** A push request as its endpoint got it. */
export interface PushRequest {
  readonly method: string | undefined;
  readonly path: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** 0 for the first request of the endpoint. */
  readonly index: number;
  /** Resolves when the sender has closed the connection before an answer. */
  readonly abandoned: Promise<void>;
}

/** Answers a push request: with a status, or by itself. */
export type Answer = (
  request: PushRequest,
  response: ServerResponse,
) => number | undefined | Promise<number | undefined>;

/** A push endpoint on the loopback interface. */
export interface Endpoint {
  readonly url: string;
  /** All requests so far. */
  readonly requests: readonly PushRequest[];
  /** The next request that was not taken yet. */
  next(): Promise<PushRequest>;
}

/** Starts a push endpoint that is closed with the test; it answers 204 unless told otherwise. */
export async function startEndpoint(t: TestContext, answer: Answer = () => 204): Promise<Endpoint> {
  const requests: PushRequest[] = [];
  const arrived: PushRequest[] = [];
  const waiting: ((request: PushRequest) => void)[] = [];
  const server = createServer((incoming, response) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', () => {
      const request: PushRequest = {
        method: incoming.method,
        path: incoming.url,
        headers: incoming.headers,
        body: Buffer.concat(chunks),
        index: requests.length,
        abandoned: new Promise((resolve) => {
          response.on('close', () => {
            if (!response.writableFinished) resolve();
          });
        }),
      };
      requests.push(request);
      const take = waiting.shift();
      if (take === undefined) arrived.push(request);
      else take(request);
      void Promise.resolve(answer(request, response)).then((status) => {
        if (status !== undefined) response.writeHead(status).end();
      });
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/push`,
    requests,
    next: () => {
      const request = arrived.shift();
      return request === undefined
        ? new Promise((resolve) => waiting.push(resolve))
        : Promise.resolve(request);
    },
  };
}
