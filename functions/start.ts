import { MirrorError, oneLine } from './errors.ts';
import { watchdog, type WatchdogLog } from './watchdog.ts';

/** Exit code for bad usage, as of every command line of the project. */
export const USAGE_EXIT_CODE = 2;

/**
 * Reads a process's configuration; a bad option is one line on standard error and the process ends
 * with {@link USAGE_EXIT_CODE}.
 */
export function configured<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    return process.exit(refused(error));
  }
}

/**
 * Writes why a process cannot do its work as one line on standard error.
 * @returns the exit code: {@link USAGE_EXIT_CODE} for a bad option, else 1
 * @throws what is no fault
 */
export function refused(error: unknown): number {
  if (!(error instanceof MirrorError)) throw error;
  process.stderr.write(`${oneLine(error.message)}\n`);
  return error.code === 'OPTION_INVALID' ? USAGE_EXIT_CODE : 1;
}

/**
 * Does what a process is there for, watched: where its work can never settle, the process names it
 * and ends with exit code 70; what has stood still for minutes is told.
 * @param operation verb and object, for the line that names it
 */
export async function watched<T>(
  operation: string,
  log: WatchdogLog,
  work: () => Promise<T>,
): Promise<T> {
  watchdog.watchEnd(log);
  const endWatch = watchdog.watchSilence(log);
  const end = watchdog.begin(operation, 'standing');
  try {
    return await work();
  } finally {
    end();
    endWatch();
  }
}
