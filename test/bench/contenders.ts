import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import type { RegistryProcess } from '../stand-ins/registry/registry-process.ts';
import { isFound } from '../real/servers/found.ts';
import { findCrane, findRegsync, findSkopeo } from '../real/servers/tools.ts';
import { IMAGE_FLAGS, type BundledImage } from './bundle.ts';
import { measure, type Command, type Measurement } from './measurement.ts';

/** A repository at both sides, spoken to over http. */
export interface Route {
  /** `HOST/REPOSITORY` */
  readonly source: string;
  /** Repositories like it, for a process that has been at work before. */
  readonly warmUp?: readonly string[];
  readonly sourceHost: string;
  /** `HOST/PATH` that the mirror writes below. */
  readonly destinationRegistry: string;
  readonly destinationHost: string;
}

/** A tool that mirrors a whole repository. */
export interface Contender {
  readonly name: string;
  readonly version: string;
  /** Mirrors the route's repository, once. */
  readonly run: (route: Route, registries: readonly RegistryProcess[]) => Promise<Measurement>;
}

/** Tags or jobs at once that every contender is given, where it takes such a number. */
export const PARALLEL = 4;

/** A contender that is a command; what makes it may write a configuration file first. */
export function byCommand(
  name: string,
  version: string,
  command: (route: Route) => Command,
): Contender {
  return {
    name,
    version,
    run: async (route, registries) => measure(command(route), registries),
  };
}

/**
 * Our one-shot command, as it is in the image.
 * @param flags those of this contender alone
 */
export function ourselves(
  { folder, env }: BundledImage,
  name = 'imagerepo-mirror',
  flags: readonly string[] = [],
): Contender {
  return byCommand(name, 'this checkout', (route): Command => [
    'env',
    ...Object.entries(env).map(([variable, value]) => `${variable}=${value}`),
    process.execPath,
    ...IMAGE_FLAGS,
    join(folder, 'job.js'),
    ...ourFlags(route),
    ...flags,
  ]);
}

/** The command as a user types it in the checkout, from the second time on. */
export function asTyped(): Contender {
  const root = fileURLToPath(new URL('../..', import.meta.url));
  return byCommand('npm run mirror', 'this checkout', (route): Command => [
    'npm',
    `--prefix=${root}`,
    'run',
    '-s',
    'mirror',
    '--',
    ...ourFlags(route),
  ]);
}

function ourFlags({ source, destinationRegistry }: Route): readonly string[] {
  return [
    `--image=${source}`,
    `--destination-registry=${destinationRegistry}`,
    '--referrers=false',
    `--tag-workers=${PARALLEL}`,
    '-o',
    'json',
  ];
}

/** The peers found on this machine, each with the flags that favour it; their files go to `folder`. */
export function peers(folder: string): readonly Contender[] {
  const [crane, regsync, skopeo] = [findCrane(), findRegsync(), findSkopeo()];
  const found: Contender[] = [];
  if (isFound(crane)) {
    found.push(
      byCommand('crane cp -a', crane.version, ({ source, destinationRegistry }) => [
        crane.path,
        'copy',
        '--insecure',
        '--all-tags',
        `--jobs=${PARALLEL}`,
        source,
        `${destinationRegistry}/crane`,
      ]),
    );
  }
  if (isFound(regsync)) {
    found.push(
      byCommand('regsync once', regsync.version, (route) => {
        const file = join(folder, `regsync-${Date.now()}.yml`);
        writeFileSync(file, regsyncConfig(route));
        return [regsync.path, 'once', '--config', file];
      }),
    );
  }
  if (isFound(skopeo)) {
    found.push(
      byCommand('skopeo sync', skopeo.version, ({ source, destinationRegistry }) => [
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
    );
  }
  return found;
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
