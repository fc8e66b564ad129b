import { exitOnSignals, startProgram, type Child } from '../../stand-ins/child.ts';
import { poll } from './poll.ts';
import { makeScratch } from './scratch.ts';

/** How a server program is started. */
export interface ServerOptions {
  readonly path: string;
  readonly args: readonly string[];
  /** Added to the environment of this process. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Tells `true` once the server answers; an error means not yet. */
  readonly ready: () => Promise<boolean>;
  /** How long it may take until it is ready. Default 60,000: three servers may be starting on two busy cores. */
  readonly readyTimeoutMs?: number;
}

const READY_TIMEOUT_MS = 60_000;

/**
 * Starts a server program and waits until it is ready.
 * Throws an Error with its last lines when it ends before, or is not ready in time.
 */
export async function startServer(options: ServerOptions): Promise<Child> {
  const { path, args, env, cwd, ready, readyTimeoutMs = READY_TIMEOUT_MS } = options;
  exitOnSignals();
  const child = startProgram({
    command: [path, ...args],
    env: { ...process.env, ...env },
    ...(cwd === undefined ? {} : { cwd }),
  });
  try {
    await poll(`${path} ready`, readyTimeoutMs, async () => {
      if (child.exitCode !== undefined) return 'ended';
      return (await ready()) ? 'ready' : undefined;
    });
    if (child.exitCode !== undefined) throw new Error(`${path} ended early`);
  } catch (cause) {
    await child.stop();
    throw new Error(`${path} did not start:\n${child.lastLines.join('\n')}`, { cause });
  }
  return child;
}

/** Starts a server program with a folder of its own, which goes when it is stopped or has not started. */
export async function startServerIn(
  name: string,
  optionsIn: (folder: string) => ServerOptions | Promise<ServerOptions>,
): Promise<Pick<Child, 'stop'>> {
  const scratch = await makeScratch(name);
  try {
    const child = await startServer(await optionsIn(scratch.path));
    return {
      stop: async () => {
        await child.stop();
        await scratch.remove();
      },
    };
  } catch (error) {
    await scratch.remove();
    throw error;
  }
}
