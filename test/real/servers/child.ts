import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';

import { poll } from './poll.ts';

/** How a server program is started. */
export interface ChildOptions {
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

/** A running server program. */
export interface Child {
  readonly pid: number;
  /** What it has written to stdout and stderr; only the last 64 KiB are kept. */
  output(): string;
  /** Ends it and its children: SIGTERM, and SIGKILL after 10 s. Harmless when it has ended already. */
  stop(): Promise<void>;
}

const outputLimit = 64 * 1024;
const stopTimeoutMs = 10_000;
const readyTimeoutMs = 60_000;

const running = new Set<ChildProcess>();
let guarded = false;

/**
 * Starts a server program and waits until it is ready. It is the leader of a process group of its
 * own, so that ending it ends what it has started too (a shell script's JVM).
 * Throws an Error with its last output when it ends before, or is not ready in time.
 */
export async function startChild(options: ChildOptions): Promise<Child> {
  guard();
  const child = spawn(options.path, options.args, {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      text = (text + chunk).slice(-outputLimit);
    });
  }
  let failure: Error | undefined;
  child.once('error', (error) => {
    failure = error;
  });
  running.add(child);
  child.once('close', () => running.delete(child));

  const started: Child = {
    pid: child.pid ?? 0,
    output: () => text,
    stop: () => stopChild(child),
  };
  try {
    await poll(`${options.path} ready`, options.readyTimeoutMs ?? readyTimeoutMs, async () => {
      if (failure !== undefined || hasEnded(child)) return 'ended';
      return (await options.ready()) ? 'ready' : undefined;
    });
    if (failure !== undefined || hasEnded(child)) {
      throw new Error(`${options.path} ended early`, { cause: failure });
    }
  } catch (cause) {
    await started.stop();
    throw new Error(`${options.path} did not start:\n${text}`, { cause });
  }
  return started;
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

async function stopChild(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || !running.has(child)) return;
  const closed = once(child, 'close');
  signalGroup(child, 'SIGTERM');
  const timer = setTimeout(() => {
    signalGroup(child, 'SIGKILL');
  }, stopTimeoutMs);
  await closed;
  clearTimeout(timer);
}

function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // The whole group has ended already.
  }
}

/** Leaves no server behind when this process ends, whether by itself, by Ctrl-C or by the test runner's timeout. */
function guard(): void {
  if (guarded) return;
  guarded = true;
  // Before any other listener: the servers' folders are removed then.
  process.prependOnceListener('exit', () => {
    for (const child of running) signalGroup(child, 'SIGKILL');
  });
  for (const [signal, exitCode] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    process.once(signal, () => {
      process.exit(exitCode);
    });
  }
}
