import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';

import { withEnvironment } from '../environment.ts';

/** Leads Google's libraries to a metadata server for the time of a test. */
export function withMetadata(t: TestContext, host: string, detection = 'assume-present'): void {
  withEnvironment(t, { GCE_METADATA_HOST: host, METADATA_SERVER_DETECTION: detection });
}

/** Answers as a metadata server does: with a project, and the token `late` for all else. */
export function answerMetadata({ url = '' }: IncomingMessage, response: ServerResponse): void {
  response.setHeader('metadata-flavor', 'Google');
  if (/\/project-id(\?|$)/.test(url)) response.end('late-project');
  else {
    const token = { access_token: 'late', expires_in: 3600, token_type: 'Bearer' };
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(token));
  }
}

/** A metadata server that Google's libraries are led to, and that comes when it is told to. */
export async function lateMetadata(
  t: TestContext,
  detection?: string,
): Promise<{ come(): Promise<void>; asked(): number }> {
  const free = createServer().listen(0, '127.0.0.1');
  await once(free, 'listening');
  const { port } = free.address() as AddressInfo;
  await new Promise((resolve) => free.close(resolve));
  let asked = 0;
  let server: Server | undefined;
  withMetadata(t, `127.0.0.1:${port}`, detection);
  t.after(() => {
    server?.close();
    server?.closeAllConnections();
  });
  return {
    asked: () => asked,
    async come() {
      server = createServer(answerMetadata).on('request', () => (asked += 1));
      await once(server.listen(port, '127.0.0.1'), 'listening');
    },
  };
}
