import { execFile } from 'node:child_process';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { isFound } from '../real/servers/found.ts';
import { findCrane, findRegsync, findSkopeo } from '../real/servers/tools.ts';
import type { Command } from './measurement.ts';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

/** A repository at both sides, spoken to over http. */
export interface Route {
  /** `HOST/REPOSITORY` */
  readonly source: string;
  readonly sourceHost: string;
  /** `HOST/PATH` that the mirror writes below. */
  readonly destinationRegistry: string;
  readonly destinationHost: string;
}

/** A tool that mirrors a whole repository. */
export interface Contender {
  readonly name: string;
  readonly version: string;
  /** The command for a route; may write a configuration file first. */
  readonly command: (route: Route) => Promise<Command>;
}

/** Tags or jobs at once that every contender is given, where it takes such a number. */
const PARALLEL = 4;

/** Our one-shot command, bundled as it is in the image. */
export async function ourselves(): Promise<Contender> {
  const folder = await mkdtemp(join(tmpdir(), 'imagerepo-mirror-bench-'));
  await promisify(execFile)(process.execPath, [
    join(root, 'infra/bundle.mjs'),
    `--out=${folder}`,
    'job',
  ]);
  return {
    name: 'imagerepo-mirror',
    version: 'this checkout',
    command: async ({ source, destinationRegistry }) =>
      Promise.resolve([
        process.execPath,
        // As in the image: young objects are few and short-lived, a small nursery saves memory.
        '--max-semi-space-size=1',
        join(folder, 'job.js'),
        `--image=${source}`,
        `--destination-registry=${destinationRegistry}`,
        '--referrers=false',
        `--tag-workers=${PARALLEL}`,
        '-o',
        'json',
      ]),
  };
}

/** The peers found on this machine, each with the flags that favour it. */
export async function peers(): Promise<readonly Contender[]> {
  const folder = await mkdtemp(join(tmpdir(), 'imagerepo-mirror-bench-'));
  const [crane, regsync, skopeo] = [findCrane(), findRegsync(), findSkopeo()];
  return [
    ...(isFound(crane)
      ? [
          {
            name: 'crane cp -a',
            version: crane.version,
            command: async ({ source, destinationRegistry }: Route): Promise<Command> =>
              Promise.resolve([
                crane.path,
                'copy',
                '--insecure',
                '--all-tags',
                `--jobs=${PARALLEL}`,
                source,
                `${destinationRegistry}/crane`,
              ]),
          },
        ]
      : []),
    ...(isFound(regsync)
      ? [
          {
            name: 'regsync once',
            version: regsync.version,
            command: async (route: Route): Promise<Command> => {
              const file = join(folder, `regsync-${Date.now()}.yml`);
              await writeFile(file, regsyncConfig(route));
              return [regsync.path, 'once', '--config', file];
            },
          },
        ]
      : []),
    ...(isFound(skopeo)
      ? [
          {
            name: 'skopeo sync',
            version: skopeo.version,
            command: async ({ source, destinationRegistry }: Route): Promise<Command> =>
              Promise.resolve([
                skopeo.path,
                'sync',
                '--all',
                '--src=docker',
                '--dest=docker',
                '--src-tls-verify=false',
                '--dest-tls-verify=false',
                source,
                `${destinationRegistry}/skopeo`,
              ]),
          },
        ]
      : []),
  ];
}

/** Plain HTTP chosen outright and no limit on requests: as fast as regsync goes. */
function regsyncConfig({
  source,
  sourceHost,
  destinationRegistry,
  destinationHost,
}: Route): string {
  const credentials = [sourceHost, destinationHost].map(
    (host) =>
      `  - registry: "${host}"\n    tls: disabled\n    reqConcurrent: 32\n    reqPerSec: 10000\n`,
  );
  return `version: 1
creds:
${credentials.join('')}defaults:
  parallel: ${PARALLEL}
sync:
  - source: "${source}"
    target: "${destinationRegistry}/regsync"
    type: repository
`;
}
