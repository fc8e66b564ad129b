import { exitOnSignals, startProgram, type LogLine } from '../child.ts';

/** A container that answers requests. */
export interface Instance {
  /** `http://127.0.0.1:PORT`. */
  readonly url: string;
  /** SIGTERM, and SIGKILL 10 s later (cloud.google.com/run/docs/container-contract). */
  stop(): Promise<void>;
  /** SIGKILL, as when the machine below fails. */
  kill(): void;
  /** Resolves with the exit code once it has gone; a signal counts as 128 and more. */
  readonly gone: Promise<number>;
}

/** Starts a container and waits until it listens. */
export type StartInstance = () => Promise<Instance>;

/** A container that is a process of this machine. */
export interface InstanceProcess extends Instance {
  readonly pid: number;
}

/** What an instance's process is started with. */
export interface InstanceProcessOptions {
  /** Arguments of `node`: `functions/serve.ts` from the project's root, and what follows it. */
  readonly command: readonly string[];
  /** All of its variables; `PORT` and `PATH` are added. */
  readonly env: Readonly<Record<string, string>>;
  /** Port it listens on; default 0, told by the first line that has a `port`. */
  readonly port?: number;
  readonly onLine?: (line: LogLine, raw: string) => void;
}

/** Starts a container as a process of its own. @throws Error where it ends before it listens */
export async function startInstanceProcess(
  options: InstanceProcessOptions,
): Promise<InstanceProcess> {
  exitOnSignals();
  const { promise: listening, resolve, reject } = Promise.withResolvers<number>();
  const child = startProgram({
    command: [process.execPath, '--disable-warning=ExperimentalWarning', ...options.command],
    env: { PATH: process.env['PATH'], ...options.env, PORT: String(options.port ?? 0) },
    onLine: (line, raw) => {
      options.onLine?.(line, raw);
      const port = typeof line['port'] === 'number' ? line['port'] : announcedPort(raw);
      if (port !== undefined) resolve(port);
    },
    onDeath: (_child, code) => {
      const said = child.lastLines.join(' | ');
      reject(new Error(`it ended with ${code} before it listened: ${said}`));
    },
  });
  const port = await listening;
  return {
    url: `http://127.0.0.1:${port}`,
    pid: child.pid,
    gone: child.gone,
    kill: () => {
      child.kill();
    },
    stop: () => child.stop(),
  };
}

/** functions-framework's own announcement: `URL: http://localhost:8080/`. */
function announcedPort(raw: string): number | undefined {
  const port = /^URL: http:\/\/localhost:(\d+)\//.exec(raw)?.[1];
  return port === undefined ? undefined : Number(port);
}
