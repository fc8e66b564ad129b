import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import type { LogLine } from '../child.ts';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..');

/** Cloud Run's grace between SIGTERM and SIGKILL (cloud.google.com/run/docs/container-contract). */
export const GRACE_MS = 10_000;

/** A container that answers requests. */
export interface Instance {
  /** `http://127.0.0.1:PORT`. */
  readonly url: string;
  /** SIGTERM, and SIGKILL after the grace. */
  stop(): Promise<void>;
  /** SIGKILL, as when the machine below fails. */
  kill(): void;
  /** Resolves with the exit code once it has gone; a signal counts as 128 and more. */
  readonly gone: Promise<number>;
}

/** A container that is a process of this machine. */
export interface InstanceProcess extends Instance {
  readonly pid: number;
}

/** Starts a container and waits until it listens. */
export type StartInstance = () => Promise<Instance>;

/** What an instance's process is started with. */
export interface InstanceProcessOptions {
  /** Program after `node`: `functions/serve.ts` from the project's root, and its arguments. */
  readonly command: readonly string[];
  /** All of its variables; `PORT` is added. */
  readonly env: Readonly<Record<string, string>>;
  /** Port it listens on; default 0, told by the first line that has a `port`. */
  readonly port?: number;
  readonly onLine?: (line: LogLine, raw: string) => void;
}

/** Starts a container as a process of its own. @throws Error where it ends before it listens */
export async function startInstanceProcess(
  options: InstanceProcessOptions,
): Promise<InstanceProcess> {
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', ...options.command],
    {
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env['PATH'], ...options.env, PORT: String(options.port ?? 0) },
    },
  );
  const gone = new Promise<number>((resolve) => {
    child.once('close', (code, signal) => {
      resolve(code ?? (signal === 'SIGKILL' ? 137 : 143));
    });
  });
  const written: string[] = [];
  const listening = new Promise<number>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (raw) => {
        const line = parseLine(raw);
        if (written.length < 20) written.push(raw);
        options.onLine?.(line, raw);
        const port = typeof line['port'] === 'number' ? line['port'] : announcedPort(raw);
        if (port !== undefined) resolve(port);
      });
    }
    void gone.then((code) => {
      reject(new Error(`it ended with ${code} before it listened: ${written.join(' | ')}`));
    });
  });
  const port = await listening;
  return {
    url: `http://127.0.0.1:${port}`,
    pid: child.pid ?? 0,
    gone,
    kill: () => {
      child.kill('SIGKILL');
    },
    stop: async () => {
      child.kill('SIGTERM');
      const killer = setTimeout(() => child.kill('SIGKILL'), GRACE_MS);
      await gone;
      clearTimeout(killer);
    },
  };
}

function parseLine(raw: string): LogLine {
  try {
    const value: unknown = JSON.parse(raw);
    return value !== null && typeof value === 'object' ? (value as LogLine) : {};
  } catch {
    return {};
  }
}

/** functions-framework's own announcement: `URL: http://localhost:8080/`. */
function announcedPort(raw: string): number | undefined {
  const port = /^URL: http:\/\/localhost:(\d+)\//.exec(raw)?.[1];
  return port === undefined ? undefined : Number(port);
}
