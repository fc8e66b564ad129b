import { execFileSync } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';

/** A server or tool that this machine has. */
export interface Found {
  readonly name: string;
  /** Absolute path of its program. */
  readonly path: string;
  /** Version as the program tells it, without a leading `v`; `unknown` where it tells none. */
  readonly version: string;
}

/** A server or tool that this machine has not. */
export interface NotFound {
  readonly name: string;
  /** How it is had, such as `apt-get install skopeo`. */
  readonly remedy: string;
}

/** What looking for a server or tool came to. */
export type Search = Found | NotFound;

/** How a program is looked for. */
export interface Wanted {
  /** What reports and skipped tests call it. */
  readonly name: string;
  /** File name of the program; default the name. */
  readonly program?: string;
  /** Arguments that make it print its version and end. */
  readonly versionArgs: readonly string[];
  /** Where the version stands in that output: the first group. A program that prints nothing like it is another one. */
  readonly version: RegExp;
  /** How it is had where it is missing. */
  readonly remedy: string;
}

/**
 * The longest a program may take to tell its version: none takes more than a second, on a machine
 * busy with other builds it can be several.
 */
const versionTimeoutMs = 20_000;

/** Whether a search found something. */
export function isFound(search: Search): search is Found {
  return 'path' in search;
}

/** What was found, for tests that are skipped otherwise; throws an Error that names it where nothing was. */
export function required(search: Search): Found {
  if (isFound(search)) return search;
  throw new Error(describeMissing(search));
}

/** The value of node:test's `skip` that skips a test, with the reason, unless all of these were found. */
export function skipUnless(...searches: readonly Search[]): string | false {
  const missing = searches.filter((search): search is NotFound => !isFound(search));
  return missing.length === 0 ? false : missing.map(describeMissing).join('; ');
}

function describeMissing({ name, remedy }: NotFound): string {
  return `${name} not found: ${remedy}`;
}

/** The folder where `.ci/servers.sh` keeps what it has built; need not exist. */
export function cacheFolder(): string {
  const { XDG_CACHE_HOME: base } = process.env;
  return join(
    base === undefined || base === '' ? join(homedir(), '.cache') : base,
    'imagerepo-mirror',
  );
}

/**
 * Looks for a program in `KUBEBUILDER_ASSETS` (the envtest convention), in PATH and in the cache of
 * `.ci/servers.sh`, in this order, and asks it for its version. A program of the same name that does
 * not answer as the wanted one does is passed over.
 */
export function findProgram(wanted: Wanted): Search {
  const program = wanted.program ?? wanted.name;
  for (const folder of programFolders()) {
    const path = join(folder, program);
    if (!isProgram(path)) continue;
    const version = versionOf(path, wanted);
    if (version !== undefined) return { name: wanted.name, path, version };
  }
  return { name: wanted.name, remedy: wanted.remedy };
}

function programFolders(): readonly string[] {
  const { KUBEBUILDER_ASSETS: assets, PATH: path } = process.env;
  return [assets ?? '', ...(path ?? '').split(delimiter), join(cacheFolder(), 'bin')].filter(
    (folder) => folder !== '',
  );
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

function versionOf(path: string, wanted: Wanted): string | undefined {
  try {
    const output = execFileSync(path, wanted.versionArgs, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: versionTimeoutMs,
    });
    return wanted.version.exec(output)?.[1];
  } catch {
    return undefined;
  }
}
