import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A server on loopback that answers as the test says, and what it was asked. */
export interface TestServer {
  /** `127.0.0.1:PORT` */
  readonly host: string;
  /** Method and URL of every request. */
  readonly requests: readonly string[];
  /** The requests themselves. */
  readonly received: readonly IncomingMessage[];
  close(): Promise<void>;
}

export async function serve(listener: RequestListener): Promise<TestServer> {
  const received: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    received.push(request);
    listener(request, response);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    received,
    get requests() {
      return received.map(({ method, url }) => `${method ?? ''} ${url ?? ''}`);
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  };
}
