import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';

import { SYSTEM_TIMING } from '../concurrency.ts';
import { isFields, type Fields } from '../contract/fields.ts';
import { canonicalHost } from '../contract/host.ts';
import { MirrorError, printable } from '../errors.ts';

/**
 * A credential of a docker config. `basic` is a user and password; `identity` a refresh token for the
 * token realm (`identitytoken`); `registry` a bearer token for the registry itself (`registrytoken`).
 */
export type DockerCredential =
  | { readonly kind: 'basic'; readonly username: string; readonly password: string }
  | { readonly kind: 'identity'; readonly token: string }
  | { readonly kind: 'registry'; readonly token: string };

/** How long a config file is believed: a mounted secret changes without notice. */
const REREAD_AFTER_MS = 5 * 60_000;
/** Largest file that is read; Secret Manager holds at most 64 KiB, ConfigMaps 1 MiB. */
const MAX_BYTES = 1024 * 1024;
/** Keys under which Docker's clients store Docker Hub (docker/cli, `IndexServer`). */
const DOCKER_HUB = new Set(['index.docker.io', 'docker.io', 'registry-1.docker.io']);

/** By host, or by host and the prefix of a path. */
type DockerAuths = ReadonlyMap<string, DockerCredential>;

/**
 * Reads `auths` of a docker config (docker/cli, "config.json"; containers-auth.json(5)). Keys are `host`,
 * `host:port`, one of these with the prefix of a repository path (`host/team-a`), or a URL
 * (`https://index.docker.io/v1/`, whose version is no prefix). An entry without any secret is left out.
 * @throws MirrorError `DOCKER_CONFIG_INVALID` on anything malformed, and where `credsStore` or
 *   `credHelpers` ask to start a program
 */
function parseDockerConfig(text: string): DockerAuths {
  let config: unknown;
  try {
    config = JSON.parse(text);
  } catch {
    throw invalid('is no JSON');
  }
  if (!isFields(config)) throw invalid('is no JSON object');
  const helper = ['credsStore', 'credHelpers'].find((name) => isPresent(config[name]));
  // guard: credential-helpers
  if (helper !== undefined)
    throw invalid('names a credential helper; no program is started', helper);
  const auths = config['auths'] ?? {};
  if (!isFields(auths)) throw invalid('has no object', 'auths');
  const found = new Map<string, DockerCredential>();
  for (const [key, entry] of Object.entries(auths)) {
    const name = nameOf(key); // guard: docker-config-prefix, without: const name = nameOf(key).split('/', 1)[0] ?? '';
    const credential = readEntry(entry, `auths.${key}`);
    // The plain host wins over a URL of the same host, whichever comes first.
    if (credential !== undefined && (key === name || !found.has(name))) found.set(name, credential);
  }
  return found;
}

/** A docker config file, read again after 5 minutes. */
export interface DockerConfig {
  /**
   * The credential for a host and the path of a repository; undefined path: the host's own.
   * @throws MirrorError `DOCKER_CONFIG_INVALID`
   */
  credentialFor(host: string, path?: string): Promise<DockerCredential | undefined>;
  /** Reads the file again at the next question, as after a 401. */
  reread(): void;
}

/**
 * Opens a docker config file. Nothing is read before the first question.
 * @param options.path the file, such as `/secrets/config.json`
 * @param options.now milliseconds since 1970. Default: the machine's clock
 */
export function openDockerConfig({
  path: file,
  now = SYSTEM_TIMING.now,
}: {
  readonly path: string;
  readonly now?: () => number;
}): DockerConfig {
  let read: { readonly auths: Promise<DockerAuths>; readonly atMs: number } | undefined;
  return {
    async credentialFor(host, path) {
      // guard: docker-config-age
      if (read !== undefined && now() - read.atMs >= REREAD_AFTER_MS) read = undefined;
      read ??= { auths: readAuths(file), atMs: now() };
      const mine = read;
      try {
        return findAuth(await mine.auths, host, path);
      } catch (error) {
        if (read === mine) read = undefined;
        throw error;
      }
    },
    reread() {
      read = undefined; // guard: docker-config-refused, without: void read;
    },
  };
}

/**
 * The entry for exactly this host whose prefix covers most of the path, by whole segments; the three
 * names of Docker Hub are one. A host's entry without a prefix covers every path.
 */
function findAuth(auths: DockerAuths, host: string, path = ''): DockerCredential | undefined {
  for (const prefix of prefixesOf(path)) {
    const name = `${host.toLowerCase()}${prefix}`;
    const exact = auths.get(name); // guard: docker-config-host, without: const exact = name.includes('/') ? auths.get(name) : [...auths].find(([other]) => name.includes(other))?.[1];
    if (exact !== undefined) return exact;
    // guard: docker-hub-names
    if (!DOCKER_HUB.has(host)) continue;
    for (const hub of DOCKER_HUB) {
      const credential = auths.get(`${hub}${prefix}`);
      if (credential !== undefined) return credential;
    }
  }
  return undefined;
}

/** `/org/team/app`, `/org/team`, `/org`, and nothing, of `org/team/app`. */
function prefixesOf(path: string): readonly string[] {
  const segments = path.split('/').filter((segment) => segment !== '');
  return [...segments.keys(), segments.length].reverse().map((count) =>
    segments
      .slice(0, count)
      .map((segment) => `/${segment}`)
      .join(''),
  );
}

async function readAuths(path: string): Promise<DockerAuths> {
  return parsedFile(await readFile(path).catch(unreadable));
}

/**
 * Reads a docker config once, at the start of a process.
 * @returns whether it holds any credential
 * @throws MirrorError `DOCKER_CONFIG_INVALID`
 */
export function checkDockerConfig(path: string): boolean {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    return unreadable(error);
  }
  return parsedFile(bytes).size > 0;
}

function unreadable(error: unknown): never {
  const { code = 'unreadable' } = error as NodeJS.ErrnoException;
  throw new MirrorError('DOCKER_CONFIG_INVALID', `cannot read the docker config (${code})`, {
    operation: 'read docker config',
  });
}

function parsedFile(bytes: Buffer): DockerAuths {
  if (bytes.length > MAX_BYTES) throw invalid(`has ${bytes.length} bytes`);
  return parseDockerConfig(bytes.toString('utf8'));
}

function readEntry(entry: unknown, field: string): DockerCredential | undefined {
  if (!isFields(entry)) throw invalid('is no object', field);
  const registry = text(entry, 'registrytoken', field);
  if (registry !== '') return { kind: 'registry', token: registry };
  const identity = text(entry, 'identitytoken', field);
  if (identity !== '') return { kind: 'identity', token: identity };
  const auth = text(entry, 'auth', field);
  const [username, password] =
    auth === ''
      ? [text(entry, 'username', field), text(entry, 'password', field)]
      : decode(auth, field);
  if (username === '' && password === '') return undefined;
  if (username === '') throw invalid('has no user', field);
  return { kind: 'basic', username, password };
}

/** `auth` is base64 of `user:password`; the first colon divides, as in RFC 7617. */
function decode(auth: string, field: string): readonly [string, string] {
  if (!/^[A-Za-z0-9+/_-]+={0,2}$/.test(auth)) throw invalid('has an auth that is no base64', field);
  // Docker's clients wrote zero bytes after some passwords.
  const decoded = Buffer.from(auth, 'base64').toString('utf8').replace(/\0+$/, '');
  const colon = decoded.indexOf(':');
  if (colon < 1) throw invalid('has an auth without user and password', field);
  return [decoded.slice(0, colon), decoded.slice(colon + 1)];
}

function text(entry: Fields, name: string, field: string): string {
  const value = entry[name] ?? '';
  if (typeof value !== 'string') throw invalid('is no text', `${field}.${name}`);
  return value;
}

/** Host (with its port) of a key and the prefix after it; a key may be a URL, which names a version at most. */
function nameOf(key: string): string {
  const [host = '', ...segments] = key.replace(/^https?:\/\//i, '').split('/');
  const prefix = segments.filter((segment) => segment !== '');
  const isVersion = prefix.length === 1 && /^v[12]$/.test(prefix[0] ?? '');
  return [canonical(host), ...(isVersion ? [] : prefix)].join('/');
}

function canonical(host: string): string {
  try {
    return canonicalHost(host);
  } catch {
    return host.toLowerCase();
  }
}

function isPresent(value: unknown): boolean {
  if (isFields(value)) return Object.keys(value).length > 0;
  return value !== undefined && value !== null && value !== '';
}

/** Names the field, never its value. */
function invalid(what: string, field?: string): MirrorError {
  const where = field === undefined ? 'the docker config' : `'${printable(field)}'`;
  return new MirrorError('DOCKER_CONFIG_INVALID', `${where} ${what}`, {
    operation: 'read docker config',
    field: field === undefined ? undefined : printable(field),
  });
}
