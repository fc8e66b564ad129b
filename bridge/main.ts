import { setFlagsFromString } from 'node:v8';

import { isFault } from '../functions/fault.ts';
import { createLogger } from '../functions/telemetry/logger.ts';
import { bridgeHelp, readConfig } from './config.ts';

/**
 * V8 prefers size to speed, and collects garbage whenever the heap has grown by a tenth: with 10,000
 * objects 90 MiB less, for a quarter more CPU (`npm run bench -- bridge`). It compiles in the main
 * thread: a compiler beside it that waits for a collection keeps the process from ending
 * (github.com/nodejs/node/issues/54918), the sooner the smaller the heap.
 */
const V8_FLAGS = [
  '--optimize-for-size',
  '--heap-growing-percent=10',
  '--no-concurrent-recompilation',
  '--no-concurrent-sparkplug',
];

/** Runs the bridge as a program; the exit code is set, and what holds the process is let go. */
async function main(argv: readonly string[]): Promise<void> {
  if (argv.includes('--help') || argv.includes('-h')) {
    process.stdout.write(bridgeHelp());
    return;
  }
  V8_FLAGS.forEach(setFlagsFromString);
  const config = readConfig(argv, process.env);
  const logger = createLogger({
    level: config.logLevel === 'trace' ? 'debug' : config.logLevel,
    encoding: config.logEncoding,
    fluxKeys: true,
  });
  // The client libraries are large: help and a wrong option do not wait for them.
  const { connectApiServer } = await import('./kubernetes/api-server.ts');
  const apiServer = connectApiServer(config.kubeconfig);
  const { connectPublisher, dryRunPublisher } = await import('./publisher.ts');
  const publisher = config.dryRun ? dryRunPublisher(logger) : await connectPublisher(config);
  const ended = endSignal();
  try {
    if (config.once) {
      const { backfill } = await import('./backfill.ts');
      process.exitCode = await backfill(config, { apiServer, publisher, logger }, ended);
    } else {
      const { startBridge } = await import('./bridge.ts');
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
