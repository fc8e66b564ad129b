import { subscribe } from 'node:diagnostics_channel';
import type { IncomingMessage } from 'node:http';

import { cloudEvent, type CloudEvent } from '@google-cloud/functions-framework';

import { SYSTEM_TIMING } from './concurrency.ts';
import { readSubscriberConfig } from './config.ts';
import { boundBody } from './push-body.ts';
import { takeOverSignals } from './signals.ts';
import { configured } from './start.ts';
import { openSubscriberProcess } from './subscriber-process.ts';
import { watchdog } from './watchdog.ts';

/**
 * The CloudEvent function `mirror`, for a deployment from source: the framework's own command line
 * loads this file and serves it. Configuration comes from the environment alone, since the
 * arguments are the framework's.
 */
const subscriberProcess = configured(() =>
  openSubscriberProcess(readSubscriberConfig([], process.env), process.env),
);
watchdog.watchEnd(subscriberProcess.logger);
watchdog.watchSilence(subscriberProcess.logger);

// The framework reads bodies of a gigabyte, and whatever compression makes of them, and has no place to
// bound them: so they are bounded before it sees the request (nodejs.org/api/diagnostics_channel, "HTTP").
subscribe('http.server.request.start', (message) => {
  boundBody((message as { readonly request: IncomingMessage }).request);
});

cloudEvent('mirror', async (event: CloudEvent<unknown>) => {
  await subscriberProcess.handle(event, { arrivedAtMs: SYSTEM_TIMING.now() });
});

takeOverSignals(process, async () => {
  subscriberProcess.logger.notice('told to end');
  await subscriberProcess.shutDown();
});
