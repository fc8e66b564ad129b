import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import { refuseOption } from '../functions/options/option.ts';
import type { Logger } from '../functions/telemetry/logger.ts';
import type { BridgeConfig } from './config.ts';
import type { WatchState } from './flux/watcher.ts';
import type { Metrics } from './metrics.ts';

/** The two servers; undefined where the option is `0`. */
interface BridgeServers {
  readonly metrics: PageServer | undefined;
  readonly health: PageServer | undefined;
}

/**
 * Serves `/metrics`, and `/healthz` and `/readyz`: alive is who answers, ready who has no reason not to be.
 * @throws MirrorError `OPTION_INVALID` when an address cannot be bound
 */
export async function serveBridge(
  config: Pick<BridgeConfig, 'metricsAddr' | 'healthAddr'>,
  metrics: Pick<Metrics, 'contentType' | 'text'>,
  unready: () => readonly string[],
  logger: Logger,
): Promise<BridgeServers> {
  return {
    metrics: await serve('metrics', config.metricsAddr, logger, {
      '/metrics': async () => ({
        status: 200,
        contentType: metrics.contentType,
        body: await metrics.text(),
      }),
    }),
    health: await serve('health', config.healthAddr, logger, {
      '/healthz': () => textPage(200, 'ok'),
      '/readyz': () => {
        const reasons = unready();
        return reasons.length === 0 ? textPage(200, 'ok') : textPage(503, reasons.join('\n'));
      },
    }),
  };
}

async function serve(
  what: 'metrics' | 'health',
  address: string,
  logger: Logger,
  pages: Pages,
): Promise<PageServer | undefined> {
  if (address === '0') return undefined;
  const server = await servePages(`--${what}-addr`, address, pages);
  logger.info(`serving ${what}`, { logger: 'setup', address: server.address });
  return server;
}

/** What readiness depends on. */
export interface ReadinessInput {
  readonly watch: WatchState;
  /** The list was complete at least once. */
  readonly synced: boolean;
  /** Whether this replica publishes; a standby is ready when its watch is. */
  readonly leading: boolean;
  /** Age of the oldest change that waits, or of a lane's failing, ms; 0 where neither is. */
  readonly unpublishedAgeMs: number;
  /** What the credentials may not do, sentences. */
  readonly missingPermissions: readonly string[];
}

/** A change that waits longer than this is no delay but a fault. */
const MAX_UNPUBLISHED_MS = 120_000;

/** Why the bridge is not ready, one sentence a reason; empty: it is. */
export function unreadyReasons(input: ReadinessInput): readonly string[] {
  const { watch } = input;
  const reasons: string[] = [];
  if ('fault' in watch) reasons.push(`watch: ${watch.fault.message}`);
  else if (!input.synced) reasons.push('watch: the list of ImageRepositories is not complete');
  if (input.leading && input.unpublishedAgeMs > MAX_UNPUBLISHED_MS) {
    const seconds = Math.round(input.unpublishedAgeMs / 1000);
    reasons.push(`publish: the oldest unpublished event waits for ${seconds} s`);
  }
  reasons.push(...input.missingPermissions.map((sentence) => `permission: ${sentence}`));
  return reasons;
}

/** What one path answers. */
interface PageAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

/** Path → its answer. */
type Pages = Readonly<Record<string, () => PageAnswer | Promise<PageAnswer>>>;

/** A listening server. */
interface PageServer {
  /** `HOST:PORT` with the port that was really bound. */
  readonly address: string;
  close(): Promise<void>;
}

/** A text page. */
function textPage(status: number, body: string): PageAnswer {
  return { status, contentType: 'text/plain; charset=utf-8', body: `${body}\n` };
}

/**
 * Serves GET and HEAD of a few pages.
 * @param option the option that gave the address, for the message
 * @param address `HOST:PORT`, `:PORT` (all addresses) or `[IPv6]:PORT`; port 0 is any free one
 * @throws MirrorError `OPTION_INVALID` when the address cannot be bound
 */
async function servePages(option: string, address: string, pages: Pages): Promise<PageServer> {
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
