import type { Logger } from '../functions/telemetry/logger.ts';
import type { EventPublisher } from './publisher.ts';
import { sleep } from './sleep.ts';

/** A missing permission is asked for again. */
const RETRY_MS = 30_000;

/** Whether the credentials may publish, asked from the start until they may. */
export interface PermissionCheck {
  /** What was missing when it was last asked, one sentence a topic. */
  missing(): readonly string[];
}

/** Asks until nothing is missing or the signal is aborted; tells what is missing each time. */
export function checkPermissions(
  publisher: Pick<EventPublisher, 'missingPermissions'>,
  logger: Logger,
  signal: AbortSignal,
  retryMs = RETRY_MS,
): PermissionCheck {
  let missing: readonly string[] = [];
  async function ask(): Promise<void> {
    while (!signal.aborted) {
      missing = await publisher.missingPermissions();
      for (const sentence of missing) {
        logger.error(`cannot publish: ${sentence}`, { logger: 'setup' });
      }
      if (missing.length === 0) return;
      await sleep(retryMs, signal);
    }
  }
  ask().catch((error: unknown) => {
    logger.warning('cannot tell whether publishing is permitted', { logger: 'setup', error });
  });
  return { missing: () => missing };
}
