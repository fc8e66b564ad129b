import type { RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';

import { cloudEvent, type CloudEvent } from '@google-cloud/functions-framework';
import { getTestServer } from '@google-cloud/functions-framework/testing';

import { SYSTEM_TIMING } from './concurrency.ts';
import { readSubscriberConfig } from './config.ts';
import { helpText } from './options/help.ts';
import { subscriberOptions } from './option-tables.ts';
import { currentRequest, preHandler } from './pre-handler.ts';
import { MAX_HEAD_BYTES } from './push-body.ts';
import { endOnSignals } from './signals.ts';
import { configured } from './start.ts';
import { openSubscriberProcess } from './subscriber-process.ts';
import { watchdog } from './watchdog.ts';

const FUNCTION = 'mirror';

if (process.argv.includes('--help')) {
  process.stdout.write(
    helpText(
      {
        title: 'imagerepo-mirror subscriber - mirrors what the events it receives ask for',
        usage: ['node functions/serve.ts [options]'],
      },
      subscriberOptions,
    ),
  );
  process.exit(0);
}

/**
 * The image's entry: the framework's server behind our pre-handler, with signals and an end of our
 * own.
 */
const config = configured(() => readSubscriberConfig(process.argv.slice(2), process.env));
const subscriberProcess = configured(() => openSubscriberProcess(config, process.env));
const { logger } = subscriberProcess;
watchdog.watchEnd(logger);
watchdog.watchSilence(logger);

cloudEvent(FUNCTION, async (event: CloudEvent<unknown>) => {
  const request = currentRequest.getStore() ?? { arrivedAtMs: SYSTEM_TIMING.now() };
  await subscriberProcess.handle(event, request);
});

const server = getTestServer(FUNCTION);
const [framework] = server.listeners('request') as RequestListener[];
if (framework === undefined) throw new Error('the framework made a server without a handler');
server.removeAllListeners('request');
server.on(
  'request',
  preHandler({
    framework,
    logger,
    handle: async (incoming, request) => subscriberProcess.handle(incoming, request),
  }),
);
// Node reads it when a connection comes; the framework has no option for it.
(server as typeof server & { maxHeaderSize: number }).maxHeaderSize = MAX_HEAD_BYTES;
// A delivery may take as long as Cloud Run lets it; the deadline is our own.
server.requestTimeout = 0;

endOnSignals(process, async () => {
  logger.notice('told to end');
  server.close();
  server.closeIdleConnections();
  await subscriberProcess.shutDown();
});

process.on('unhandledRejection', (error) => {
  logger.error('a rejection was not handled', { error });
  process.kill(process.pid, 'SIGTERM');
});

server.listen(config.port, () => {
  const { port } = server.address() as AddressInfo;
  logger.info(`listening on port ${port}`, { port });
});
