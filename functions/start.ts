import { Fault } from './fault.ts';

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
    if (!(error instanceof Fault)) throw error;
    process.stderr.write(`${error.message.replaceAll(/\s+/g, ' ')}\n`);
    return process.exit(USAGE_EXIT_CODE);
  }
}
