import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import { refuseOption } from '../functions/options/option.ts';

/** What one path answers. */
export interface PageAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

/** Path → its answer. */
export type Pages = Readonly<Record<string, () => PageAnswer | Promise<PageAnswer>>>;

/** A listening server. */
export interface PageServer {
  /** `HOST:PORT` with the port that was really bound. */
  readonly address: string;
  close(): Promise<void>;
}

/** A text page. */
export function textPage(status: number, body: string): PageAnswer {
  return { status, contentType: 'text/plain; charset=utf-8', body: `${body}\n` };
}

/**
 * Serves GET and HEAD of a few pages.
 * @param option the option that gave the address, for the message
 * @param address `HOST:PORT`, `:PORT` (all addresses) or `[IPv6]:PORT`; port 0 is any free one
 * @throws Fault `OPTION_INVALID` when the address cannot be bound
 */
export async function servePages(
  option: string,
  address: string,
  pages: Pages,
): Promise<PageServer> {
  const colon = address.lastIndexOf(':');
  const host = address.slice(0, colon).replace(/^\[|\]$/g, '');
  const port = Number(address.slice(colon + 1));
  const server = createServer((request, response) => {
    request.resume();
    const page = pages[(request.url ?? '/').split('?')[0] ?? '/'];
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      write(response, textPage(405, 'only GET and HEAD'));
    } else if (page === undefined) {
      write(response, textPage(404, `pages: ${Object.keys(pages).join(' ')}`));
    } else {
      Promise.resolve()
        .then(page)
        .catch(() => textPage(500, 'the page failed'))
        .then((answer) => {
          write(response, answer);
        })
        .catch(() => response.destroy());
    }
  });
  await listen(server, host === '' ? undefined : host, port, option);
  const bound = server.address() as AddressInfo;
  const shown = bound.family === 'IPv6' ? `[${bound.address}]` : bound.address;
  return {
    address: `${shown}:${bound.port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  };
}

async function listen(
  server: Server,
  host: string | undefined,
  port: number,
  option: string,
): Promise<void> {
  server.listen({ host, port });
  try {
    await once(server, 'listening');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    refuseOption(option, `cannot be bound: ${code}`);
  }
}

function write(response: ServerResponse, answer: PageAnswer): void {
  response.writeHead(answer.status, { 'content-type': answer.contentType });
  response.end(response.req.method === 'HEAD' ? undefined : answer.body);
}
