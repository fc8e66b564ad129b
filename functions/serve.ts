import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import { readSubscriberConfig } from './config.ts';
import { helpText } from './options/help.ts';
import { subscriberOptions } from './option-tables.ts';
import { MAX_HEAD_BYTES } from './push-body.ts';
import { pushHandler } from './push-handler.ts';
import { endOnSignals } from './signals.ts';
import { configured } from './start.ts';
import { openSubscriberProcess } from './subscriber-process.ts';
import { watchdog } from './watchdog.ts';

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

/** The image's entry: a server for the pushes of Pub/Sub. */
const config = configured(() => readSubscriberConfig(process.argv.slice(2), process.env));
const subscriberProcess = configured(() => openSubscriberProcess(config, process.env));
const { logger } = subscriberProcess;
watchdog.watchEnd(logger);
watchdog.watchSilence(logger);

const server = createServer(
  { maxHeaderSize: MAX_HEAD_BYTES },
  pushHandler({
    logger,
    handle: async (incoming, request) => subscriberProcess.handle(incoming, request),
  }),
);

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
