import { setFlagsFromString } from 'node:v8';

import { isMirrorError, oneLine, toMirrorError } from '../functions/errors.ts';
import { ignoreProxyVariables } from '../functions/options/proxy-variables.ts';
import { endAtDefects } from '../functions/signals.ts';
import { createLogger, type Logger } from '../functions/telemetry/logger.ts';
import { watchdog } from '../functions/watchdog.ts';
import type { Bridge } from './bridge.ts';
import { bridgeHelp, readConfig } from './config.ts';

/**
 * V8 prefers size to speed, and collects garbage whenever the heap has grown by a tenth: with 10,000
 * objects 90 MiB less, for a quarter more CPU (`npm run bench -- bridge`). It compiles in the main
 * thread: a compiler beside it that waits for a collection keeps the process from ending
 * (github.com/nodejs/node/issues/54918), the sooner the smaller the heap. It marks in one go, some 40 ms
 * with 10,000 objects: a list or a replay adds 15 MiB while it is marked step by step.
 */
const V8_FLAGS = [
  '--optimize-for-size',
  '--heap-growing-percent=10',
  '--no-incremental-marking',
  '--no-concurrent-recompilation',
  '--no-concurrent-sparkplug',
];

/** How long at a defect the Lease's giving up is waited for, in milliseconds. */
const DEFECT_END_MS = 5000;

/** What a defect finds: where it is told, and what is to be ended in order. */
interface Running {
  logger?: Logger;
  bridge?: Bridge;
}

/** Runs the bridge as a program; gives the exit code. */
async function main(argv: readonly string[], running: Running): Promise<number> {
  if (argv.includes('--help') || argv.includes('-h')) {
    process.stdout.write(bridgeHelp());
    return 0;
  }
  V8_FLAGS.forEach(setFlagsFromString);
  const config = readConfig(argv, process.env);
  const logger = createLogger({
    level: config.logLevel === 'trace' ? 'debug' : config.logLevel,
    encoding: config.logEncoding,
    fluxKeys: true,
  });
  running.logger = logger;
  const ignored = ignoreProxyVariables();
  if (ignored.length > 0) logger.info('proxy variables are ignored', { logger: 'setup', ignored });
  watchdog.watchEnd(logger);
  // Open until the process ends.
  watchdog.begin(config.once ? 'publish every object once' : 'run the bridge', 'standing');
  // The client libraries are large: help and a wrong option do not wait for them.
  const { connectApiServer } = await import('./kubernetes/api-server.ts');
  const apiServer = connectApiServer(config.kubeconfig);
  const { createPublisher, dryRunPublisher } = await import('./publisher.ts');
  const signal = endSignal();
  const publisher = config.dryRun
    ? dryRunPublisher(logger)
    : createPublisher({ ...config, signal });
  try {
    if (config.once) {
      const { backfill } = await import('./backfill.ts');
      return await backfill(config, { apiServer, publisher, logger }, signal);
    }
    const { startBridge } = await import('./bridge.ts');
    running.bridge = await startBridge(config, { apiServer, publisher, logger });
    await aborted(signal);
    logger.info('stopping', { logger: 'setup' });
    await running.bridge.stop();
    return 0;
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

function tellDefect(error: unknown, { logger }: Running): void {
  const fault = toMirrorError(error, 'run the bridge');
  const teller = logger ?? createLogger({ fluxKeys: true });
  teller.error('the bridge ends at a defect', { logger: 'setup', error: fault });
}

const running: Running = {};
endAtDefects(
  process,
  (error) => {
    tellDefect(error, running);
  },
  async () => running.bridge?.stop(0),
  DEFECT_END_MS,
);
main(process.argv.slice(2), running).then(
  // What still waits for an answer that nobody needs any more must not hold the process. A defect's code stands.
  (code) => process.exit(process.exitCode ?? code),
  (error: unknown) => {
    if (!isMirrorError(error, 'OPTION_INVALID', 'KUBECONFIG_INVALID')) {
      tellDefect(error, running);
      process.exit(1);
    }
    process.stderr.write(`bridge: ${oneLine(error.message)}\n`);
    process.exit(2);
  },
);
