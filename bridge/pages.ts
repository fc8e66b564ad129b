import type { Logger } from '../functions/telemetry/logger.ts';
import type { BridgeConfig } from './config.ts';
import type { Metrics } from './metrics.ts';
import { servePages, textPage, type PageServer, type Pages } from './server.ts';

/** The two servers; undefined where the option is `0`. */
export interface BridgeServers {
  readonly metrics: PageServer | undefined;
  readonly health: PageServer | undefined;
}

/**
 * Serves `/metrics`, and `/healthz` and `/readyz`: alive is who answers, ready who has no reason not to be.
 * @throws Fault `OPTION_INVALID` when an address cannot be bound
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
