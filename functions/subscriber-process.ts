import { setTimeout as delay } from 'node:timers/promises';

import { SYSTEM_TIMING } from './concurrency.ts';
import { composeService } from './compose.ts';
import type { Environment, SubscriberConfig } from './config.ts';
import { ignoreProxyVariables } from './options/proxy-variables.ts';
import { processEnd } from './subscriber/delivery-deadline.ts';
import type { PushRequest } from './subscriber/subscriber.ts';
import { createLogger, type Logger } from './telemetry/logger.ts';
import { watchdog } from './watchdog.ts';

/** A process that takes messages until it is told to end. */
export interface SubscriberProcess {
  readonly logger: Logger;
  /** Executes one message. @throws Redelivery where it is to be delivered again */
  handle(incoming: unknown, request: PushRequest): Promise<void>;
  /**
   * Finishes or hands back what is under way, then sends what is still held, within {@link SHUTDOWN_MS},
   * whatever hangs; the answers of what was handed back have a moment after it. A second call waits for the first.
   */
  shutDown(): Promise<void>;
}

/** Cloud Run kills 10 s after SIGTERM; a second is left for the answers and the exit itself. */
export const SHUTDOWN_MS = 9_000;
/** For the answers to be written. */
const ANSWER_MS = 200;

/** Opens the process's service: everything but the way in which messages come. */
export function openSubscriberProcess(
  config: SubscriberConfig,
  env: Environment,
): SubscriberProcess {
  const { K_SERVICE: name = 'imagerepo-mirror', K_REVISION: version = 'local' } = env;
  const logger = createLogger({ level: config.logLevel, service: { name, version } });
  const ignored = ignoreProxyVariables();
  if (ignored.length > 0) logger.info('proxy variables are ignored', { ignored });
  const end = processEnd(SYSTEM_TIMING.now);
  const service = composeService(config, logger, end, name);
  const underWay = new Set<Promise<void>>();
  let ending: Promise<void> | undefined;

  async function finish(): Promise<void> {
    end.tell();
    while (underWay.size > 0) await Promise.allSettled(underWay);
    await service.close();
  }

  return {
    logger,
    handle: async (incoming, request) => {
      const handled = service.subscriber.handle(incoming, request);
      underWay.add(handled);
      try {
        await handled;
      } finally {
        underWay.delete(handled);
      }
    },
    shutDown: async () => {
      ending ??= withinMs(SHUTDOWN_MS, finish()).then(async () => {
        if (underWay.size > 0) watchdog.tellUnsettled(logger);
        await delay(ANSWER_MS);
      });
      return ending;
    },
  };
}

/** Waits for the work, but no longer than this. What it throws counts as its end. */
async function withinMs(limitMs: number, work: Promise<void>): Promise<void> {
  const { promise: late, resolve } = Promise.withResolvers<unknown>();
  const timer = setTimeout(resolve, limitMs);
  await Promise.race([work.catch(() => undefined), late]);
  clearTimeout(timer);
}
