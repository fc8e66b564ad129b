import { spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

/** One structured log line of a child. */
export type LogLine = Readonly<Record<string, unknown>>;

/** One of the project's entries running as its own process, as it runs in production. */
export interface Child {
  readonly name: string;
  /** Ends it: SIGTERM, and SIGKILL where it has not gone after 10 s (Cloud Run's own grace). */
  stop(): Promise<void>;
  /** Exit code once it has gone; undefined while it runs. */
  readonly exitCode: number | undefined;
  /** The last lines it wrote, for the report of a failure. */
  readonly lastLines: readonly string[];
}

/** What a child is started with. */
export interface ChildOptions {
  readonly name: string;
  /** Path from the project's root: `bridge/main.ts`. */
  readonly entry: string;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Called for every JSON line on its stdout or stderr. */
  readonly onLine: (line: LogLine, raw: string) => void;
  /** Called when it ends without having been asked to. */
  readonly onDeath: (child: Child, code: number) => void;
}

/** Starts one of the project's TypeScript entries with the Node that runs this one. */
export function startChild(options: ChildOptions): Child {
  const started = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', join(root, options.entry), ...(options.args ?? [])],
    {
      // Its own group: Ctrl-C in the terminal reaches this process alone, which ends them in order.
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...inheritedEnvironment(), ...options.env },
    },
  );
  let exitCode: number | undefined;
  let stopping = false;
  const lastLines: string[] = [];
  const gone = new Promise<void>((resolve) => {
    started.once('close', (code, signal) => {
      exitCode = code ?? (signal === 'SIGKILL' ? 137 : 1);
      resolve();
      if (!stopping) options.onDeath(child, exitCode);
    });
  });
  const child: Child = {
    name: options.name,
    get exitCode() {
      return exitCode;
    },
    lastLines,
    async stop() {
      stopping = true;
      if (exitCode !== undefined) return;
      started.kill('SIGTERM');
      const killer = setTimeout(() => started.kill('SIGKILL'), 10_000);
      await gone;
      clearTimeout(killer);
    },
  };
  for (const stream of [started.stdout, started.stderr]) {
    createInterface({ input: stream }).on('line', (raw) => {
      lastLines.push(raw);
      if (lastLines.length > 40) lastLines.shift();
      options.onLine(parseLine(raw), raw);
    });
  }
  return child;
}

/** A free port of the loopback interface. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port could be had');
  return address.port;
}

/** The environment without what would lead a child to something else than the local topology. */
function inheritedEnvironment(): Record<string, string | undefined> {
  const { PATH, HOME, TMPDIR, LANG, SSL_CERT_FILE, NODE_EXTRA_CA_CERTS } = process.env;
  return { PATH, HOME, TMPDIR, LANG, SSL_CERT_FILE, NODE_EXTRA_CA_CERTS };
}

function parseLine(raw: string): LogLine {
  try {
    const value: unknown = JSON.parse(raw);
    return value !== null && typeof value === 'object' ? (value as LogLine) : { message: raw };
  } catch {
    return { message: raw };
  }
}
