import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import { readSubscriberConfig } from './config.ts';
import { oneLine } from './errors.ts';
import { helpText } from './options/help.ts';
import { subscriberOptions } from './option-tables.ts';
import { MAX_HEAD_BYTES } from './push-body.ts';
import { pushHandler } from './push-handler.ts';
import { endAtDefects, endOnSignals } from './signals.ts';
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

async function shutDown(): Promise<void> {
  server.close();
  server.closeIdleConnections();
  await subscriberProcess.shutDown();
}

endOnSignals(process, async () => {
  logger.notice('told to end');
  await shutDown();
});
endAtDefects(
  process,
  (error) => {
    logger.error('the service ends at a defect', { error });
  },
  shutDown,
);

server.once('error', ({ message }) => {
  process.stderr.write(`cannot serve on port ${config.port} (PORT): ${oneLine(message)}\n`);
  process.exit(1);
});
server.listen(config.port, () => {
  const { port } = server.address() as AddressInfo;
  logger.info(`listening on port ${port}`, { port });
});
