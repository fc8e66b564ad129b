import { isFault } from '../functions/fault.ts';
import { createLogger } from '../functions/telemetry/logger.ts';
import { backfill } from './backfill.ts';
import { startBridge } from './bridge.ts';
import { bridgeHelp, readConfig } from './config.ts';
import { connectApiServer } from './kubernetes/api-server.ts';
import { createPublisher, dryRunPublisher } from './publisher.ts';

/** Runs the bridge as a program; the exit code is set, and what holds the process is let go. */
async function main(argv: readonly string[]): Promise<void> {
  if (argv.includes('--help') || argv.includes('-h')) {
    process.stdout.write(bridgeHelp());
    return;
  }
  const config = readConfig(argv, process.env);
  const logger = createLogger({
    level: config.logLevel === 'trace' ? 'debug' : config.logLevel,
    encoding: config.logEncoding,
    fluxKeys: true,
  });
  const apiServer = connectApiServer(config.kubeconfig);
  const publisher = config.dryRun ? dryRunPublisher(logger) : createPublisher(config);
  const ended = endSignal();
  try {
    if (config.once) {
      process.exitCode = await backfill(config, { apiServer, publisher, logger }, ended);
    } else {
      const bridge = await startBridge(config, { apiServer, publisher, logger });
      await aborted(ended);
      logger.info('stopping', { logger: 'setup' });
      await bridge.stop();
    }
  } finally {
    await publisher.close();
    apiServer.close();
  }
}

/** Aborted at the first SIGTERM or SIGINT; a second one ends the process at once. */
function endSignal(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => {
      controller.abort();
    });
  }
  return controller.signal;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => {
      resolve();
    });
  });
}

main(process.argv.slice(2)).catch((error: unknown) => {
  if (!isFault(error, 'OPTION_INVALID', 'KUBECONFIG_INVALID')) throw error;
  process.stderr.write(`bridge: ${error.message}\n`);
  process.exit(2);
});
