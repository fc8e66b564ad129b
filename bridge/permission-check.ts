import { toMirrorError } from '../functions/errors.ts';
import type { Logger } from '../functions/telemetry/logger.ts';
import { backoff, isAborted, sleep, type BackoffRange } from './backoff.ts';
import type { EventPublisher } from './publisher.ts';

/** Whether the credentials are there and may publish, asked from the start until they may. */
export interface PermissionCheck {
  /** What was missing when it was last asked, one sentence a topic; until the first answer, that it is asked. */
  missing(): readonly string[];
}

/** Asks until nothing is missing or the signal is aborted; tells what is missing each time. */
export function checkPermissions(
  publisher: Pick<EventPublisher, 'missingPermissions'>,
  logger: Logger,
  signal: AbortSignal,
  range?: BackoffRange,
): PermissionCheck {
  const wait = backoff(range);
  let missing: readonly string[] = ['the credentials are being asked for'];
  async function ask(): Promise<void> {
    while (!signal.aborted) {
      try {
        missing = await publisher.missingPermissions();
        for (const sentence of missing) {
          logger.error(`cannot publish: ${sentence}`, { logger: 'setup' });
        }
        if (missing.length === 0) return;
      } catch (error) {
        if (isAborted(signal)) return;
        const fault = toMirrorError(error, 'check permissions');
        missing = [fault.message];
        logger.error('cannot publish; asking again', { logger: 'setup', error: fault });
      }
      await sleep(wait.next(), signal);
    }
  }
  void ask();
  return { missing: () => missing };
}
