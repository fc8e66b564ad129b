import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { freePort } from '../../stand-ins/child.ts';
import { findProgram, isFound, type Found, type Search } from './found.ts';
import { startServerIn } from './server.ts';

/** A running Pub/Sub emulator. */
export interface PubsubEmulator {
  /** `127.0.0.1:PORT`, the value of `PUBSUB_EMULATOR_HOST`; gRPC and REST on one port. */
  readonly host: string;
  /** Base of its REST API: `http://127.0.0.1:PORT/v1`. */
  readonly url: string;
  /** Ends it, its Java machine included. */
  stop(): Promise<void>;
}

const debianPackage = 'google-cloud-cli-pubsub-emulator';
const startScript = /\/bin\/cloud-pubsub-emulator$/m;

/** Google's emulator, from its Debian package. Its version is told by the name of its archive. */
export function findPubsubEmulator(): Search {
  const name = 'pubsub-emulator';
  const path = packagedFiles().find((file) => startScript.test(file));
  if (path === undefined) {
    return { name, remedy: `apt-get install ${debianPackage} (Google's repository)` };
  }
  const java = findProgram({
    name: 'java',
    versionArgs: ['--version'],
    version: /^\S+ (\d\S*)/,
    remedy: 'apt-get install default-jre-headless',
  });
  if (!isFound(java)) return { name, remedy: `its Java is missing: ${java.remedy}` };
  return { name, path, version: versionOf(path) };
}

/** Starts the emulator on 127.0.0.1, with nothing in it. It checks no credentials. */
export async function startPubsubEmulator(program: Found): Promise<PubsubEmulator> {
  const port = await freePort();
  const host = `127.0.0.1:${port}`;
  const { stop } = await startServerIn('pubsub-emulator', (cwd) => ({
    path: program.path,
    args: ['--host=127.0.0.1', `--port=${port}`],
    cwd,
    // The start, which two cores feel, needs no optimising compiler.
    env: { JAVA_OPTS: '-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xmx512m' },
    ready: async () => (await (await fetch(`http://${host}/`)).text()).trim() === 'Ok',
  }));
  return { host, url: `http://${host}/v1`, stop };
}

function packagedFiles(): readonly string[] {
  try {
    return execFileSync('dpkg', ['-L', debianPackage], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).split('\n');
  } catch {
    return [];
  }
}

function versionOf(path: string): string {
  const [, version] =
    /cloud-pubsub-emulator-(.+)-all\.jar/.exec(
      readdirSync(join(dirname(dirname(path)), 'lib')).join('\n'),
    ) ?? [];
  return version ?? 'unknown';
}
