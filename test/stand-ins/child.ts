import { spawn, type ChildProcess } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

/** One structured log line of a child. */
export type LogLine = Readonly<Record<string, unknown>>;

/** A program that runs beside this process, in a process group of its own. */
export interface Child {
  readonly name: string;
  /** 0 where the program could not be started. */
  readonly pid: number;
  /** The last 100 lines that it wrote, for the report of a failure. */
  readonly lastLines: readonly string[];
  /** Exit code once it has gone, 128 and more for a signal; undefined while it runs. */
  readonly exitCode: number | undefined;
  /** Resolves with the exit code; -1 where the program could not be started. */
  readonly gone: Promise<number>;
  /**
   * Ends it and what it has started: SIGTERM, and SIGKILL where it has not gone after 10 s (Cloud
   * Run's grace, cloud.google.com/run/docs/container-contract). Harmless when it has gone.
   */
  stop(): Promise<void>;
  /** Ends it with SIGKILL. */
  kill(): void;
}

/** How a program is started. */
export interface ProgramOptions {
  /** Name in reports; default the program's path. */
  readonly name?: string;
  /** Program and arguments. */
  readonly command: readonly [string, ...(readonly string[])];
  /** All of its variables. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Default the project's root. */
  readonly cwd?: string;
  /** Called for every line on its stdout or stderr; a line that is no JSON object is a `message`. */
  readonly onLine?: (line: LogLine, raw: string) => void;
  /** Called when it ends without having been asked to. */
  readonly onDeath?: (child: Child, code: number) => void;
}

const GRACE_MS = 10_000;
const KEPT_LINES = 100;
const SIGNAL_CODES: Readonly<Record<string, number>> = { SIGINT: 130, SIGKILL: 137, SIGTERM: 143 };

/** The command that runs a program of the project with the Node that runs this one. */
export function nodeCommand(entry: string, args: readonly string[] = []): [string, ...string[]] {
  return [process.execPath, '--disable-warning=ExperimentalWarning', join(root, entry), ...args];
}

/** Starts a program. It is ended with this process, unless this one is killed. */
export function startProgram(options: ProgramOptions): Child {
  const [path, ...args] = options.command;
  const started = spawn(path, args, {
    // Its own group: Ctrl-C in a terminal reaches this process alone, which ends its children in order.
    detached: true,
    cwd: options.cwd ?? root,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: options.env,
  });
  const lastLines: string[] = [];
  for (const stream of [started.stdout, started.stderr]) {
    createInterface({ input: stream }).on('line', (raw) => {
      lastLines.push(raw);
      if (lastLines.length > KEPT_LINES) lastLines.shift();
      options.onLine?.(parseLine(raw), raw);
    });
  }
  started.once('error', (error) => lastLines.push(String(error)));
  let exitCode: number | undefined;
  let stopping = false;
  const gone = new Promise<number>((resolve) => {
    started.once('close', (code, signal) => {
      exitCode = code ?? SIGNAL_CODES[signal ?? ''] ?? 1;
      running.delete(started);
      resolve(exitCode);
      if (!stopping) options.onDeath?.(child, exitCode);
    });
  });
  endWithThisProcess(started);
  const child: Child = {
    name: options.name ?? path,
    pid: started.pid ?? 0,
    lastLines,
    get exitCode() {
      return exitCode;
    },
    gone,
    async stop() {
      stopping = true;
      if (exitCode !== undefined) return;
      signalGroup(started, 'SIGTERM');
      const killer = setTimeout(() => {
        signalGroup(started, 'SIGKILL');
      }, GRACE_MS);
      await gone;
      clearTimeout(killer);
    },
    kill() {
      signalGroup(started, 'SIGKILL');
    },
  };
  return child;
}

/** How one of the project's entries is started. */
export interface ChildOptions extends Pick<ProgramOptions, 'onLine' | 'onDeath'> {
  readonly name: string;
  /** Path from the project's root: `bridge/main.ts`. */
  readonly entry: string;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** Starts one of the project's TypeScript entries as a process of its own, as in production. */
export function startChild({ entry, args, env, ...options }: ChildOptions): Child {
  // Nothing of this process's environment that leads to something else than the local cloud.
  const { PATH, HOME, TMPDIR, LANG, SSL_CERT_FILE, NODE_EXTRA_CA_CERTS } = process.env;
  return startProgram({
    ...options,
    command: nodeCommand(entry, args),
    env: { PATH, HOME, TMPDIR, LANG, SSL_CERT_FILE, NODE_EXTRA_CA_CERTS, ...env },
  });
}

const running = new Set<ChildProcess>();

function endWithThisProcess(child: ChildProcess): void {
  running.add(child);
  if (running.size > 1 || process.listeners('exit').includes(killRunning)) return;
  // Before any other listener: folders that the children write in are removed then.
  process.prependOnceListener('exit', killRunning);
}

function killRunning(): void {
  for (const child of running) signalGroup(child, 'SIGKILL');
}

/**
 * Lets Ctrl-C and SIGTERM end this process through its exit listeners, which end the children too.
 * For tests; the demo ends its parts in order by itself.
 */
export function exitOnSignals(): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    if (!process.listeners(signal).includes(exitOnSignal)) process.once(signal, exitOnSignal);
  }
}

function exitOnSignal(signal: NodeJS.Signals): void {
  process.exit(SIGNAL_CODES[signal]);
}

function signalGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // The whole group has ended already.
  }
}

function parseLine(raw: string): LogLine {
  try {
    const value: unknown = JSON.parse(raw);
    return value !== null && typeof value === 'object' ? (value as LogLine) : { message: raw };
  } catch {
    return { message: raw };
  }
}

/**
 * Ports below the range from which Linux takes the ports of outgoing connections and of listeners on
 * port 0 (32768-60999, ip(7) `ip_local_port_range`), so that a port that was free a moment ago, or
 * that a restarting server has left, is not handed to somebody else meanwhile.
 */
const LOWEST_PORT = 20_000;
const HIGHEST_PORT = 32_000;

/**
 * A TCP port on 127.0.0.1 that nobody listens on now and that no other call gets while this process
 * lives. Throws an Error when 50 tries found none.
 */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < 50; tries += 1) {
    const port = randomInt(LOWEST_PORT, HIGHEST_PORT);
    if ((await isFree(port)) && (await isReserved(port))) return port;
  }
  throw new Error('no free port was found');
}

/**
 * Holds the UDP port of the same number until this process ends: what starts a server and starts it
 * again on the port that it had shares nothing but the system with others that look for one.
 */
function isReserved(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4').unref();
    socket.once('error', () => {
      resolve(false);
    });
    socket.bind(port, '127.0.0.1', () => {
      resolve(true);
    });
  });
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => {
      resolve(false);
    });
    server.listen(port, '127.0.0.1', () => {
      server.close(() => {
        resolve(true);
      });
    });
  });
}
