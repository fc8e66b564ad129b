import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, dirname, isAbsolute, join } from 'node:path';

import { KubeConfig, loadYaml, type User } from '@kubernetes/client-node';

import { errorText, MirrorError, printable } from '../../functions/errors.ts';
import type { CredentialPlugin, UserCredentials } from './user-credentials.ts';

/** An API server, and whom the bridge is there. */
export interface KubeAccess {
  /** With one cluster, user and context that are current. */
  readonly config: KubeConfig;
  /** Where the user's credentials come from, beyond what stands in the kubeconfig itself. */
  readonly credentials: UserCredentials;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Finds the API server: of the kubeconfig where one is named, else of the pod's service account,
 * else of `~/.kube/config`.
 * @param kubeconfig a file, or several as in `KUBECONFIG`: separated by colons, those that are not
 *   there are passed over, and the first that says something wins (kubernetes.io, "Organizing
 *   Cluster Access Using kubeconfig Files")
 * @throws MirrorError `KUBECONFIG_INVALID`
 */
export function loadKubeAccess(kubeconfig: string | undefined, env: Environment): KubeAccess {
  try {
    return checked(accessOf(kubeconfig, env));
  } catch (error) {
    if (error instanceof MirrorError) throw error;
    const which = kubeconfig === undefined ? 'the kubeconfig' : `kubeconfig ${kubeconfig}`;
    throw new MirrorError(
      'KUBECONFIG_INVALID',
      `${which} cannot be used: ${printable(errorText(error))}`,
      {
        operation: 'read kubeconfig',
        field: '--kubeconfig',
      },
    );
  }
}

function accessOf(kubeconfig: string | undefined, env: Environment): KubeAccess {
  const home = join(homedir(), '.kube', 'config');
  if (kubeconfig !== undefined) return loadFiles(filesOf(kubeconfig));
  if ((env['KUBERNETES_SERVICE_HOST'] ?? '') !== '') return loadServiceAccount();
  if (isReadable(home)) return loadFiles([home]);
  throw new Error('no --kubeconfig, no service account and no ~/.kube/config');
}

function filesOf(kubeconfig: string): readonly string[] {
  if (existsSync(kubeconfig)) return [kubeconfig];
  const named = kubeconfig.split(delimiter).filter((file) => file !== '');
  const there = named.filter((file) => existsSync(file));
  // None is there: reading the first says so.
  return there.length === 0 ? named.slice(0, 1) : there;
}

function loadServiceAccount(): KubeAccess {
  const config = new KubeConfig();
  config.loadFromCluster();
  const user = config.getCurrentUser();
  const tokenFile = user === null ? undefined : tokenFileOf(user);
  return { config: withoutProviders(config), credentials: { tokenFile } };
}

/** Of the provider `tokenFile`, which client libraries write for a pod's service account. */
function tokenFileOf(user: User): string | undefined {
  const provider = user.authProvider as AuthProvider | null | undefined;
  return provider?.config?.tokenFile;
}

interface AuthProvider {
  readonly config?: { readonly tokenFile?: string };
}

/** What the library does not read of a user, or does in another way than kubectl. */
interface OwnUser {
  readonly tokenFile?: string | undefined;
  readonly exec?: CredentialPlugin | undefined;
}

/** Whether there is nothing but blank lines, comments and marks between documents. */
function saysNothing(yaml: string): boolean {
  return yaml.split('\n').every((line) => /^(?:---|\.\.\.)?\s*(?:#|$)/.test(line.trim()));
}

function loadFiles(files: readonly string[]): KubeAccess {
  const merged = new KubeConfig();
  const own = new Map<string, OwnUser>();
  for (const file of files) {
    const config = new KubeConfig();
    const text = readFileSync(file, 'utf8');
    if (saysNothing(text)) continue;
    // As kubectl: only what the current context names must be complete.
    config.loadFromFile(file, { onInvalidEntry: 'filter' });
    for (const [name, user] of ownUsers(file, loadYaml<KubeDocument>(text), config)) {
      if (!own.has(name)) own.set(name, user);
    }
    merged.clusters = united(merged.clusters, config.clusters);
    merged.users = united(merged.users, config.users);
    merged.contexts = united(merged.contexts, config.contexts);
    if (!merged.currentContext) merged.setCurrentContext(config.getCurrentContext());
  }
  const { tokenFile, exec } = own.get(merged.getCurrentUser()?.name ?? '') ?? {};
  return { config: withoutProviders(merged), credentials: { tokenFile, plugin: exec } };
}

/** Of two of one name the first stands. */
function united<T extends { readonly name: string }>(first: readonly T[], more: readonly T[]): T[] {
  const names = new Set(first.map(({ name }) => name));
  return [...first, ...more.filter(({ name }) => !names.has(name))];
}

/** Of a kubeconfig, what the library does not read. */
interface KubeDocument {
  readonly users?:
    | readonly ({
        readonly name?: string;
        readonly user?: { readonly tokenFile?: string } | null;
      } | null)[]
    | null;
}

/** Paths are relative to the file they stand in. */
function ownUsers(
  file: string,
  document: KubeDocument,
  config: KubeConfig,
): ReadonlyMap<string, OwnUser> {
  const from = (path: string): string => (isAbsolute(path) ? path : join(dirname(file), path));
  const tokenFiles = new Map(document.users?.map((each) => [each?.name, each?.user?.tokenFile]));
  return new Map(
    config.users.map((user) => {
      const tokenFile = tokenFiles.get(user.name) ?? tokenFileOf(user);
      const exec = user.exec as Partial<CredentialPlugin> | null | undefined;
      const { command = '' } = exec ?? {};
      return [
        user.name,
        {
          tokenFile: tokenFile === undefined ? undefined : from(tokenFile),
          exec:
            exec === null || exec === undefined
              ? undefined
              : { ...exec, command: command.includes('/') ? from(command) : command },
        },
      ];
    }),
  );
}

/** Token files and plugins are read by user-credentials.ts, not by the library. */
function withoutProviders(config: KubeConfig): KubeConfig {
  for (const user of config.users) {
    const own = tokenFileOf(user) === undefined ? {} : { authProvider: undefined };
    Object.assign(user, { exec: undefined, ...own });
  }
  return config;
}

function checked(access: KubeAccess): KubeAccess {
  const { config, credentials } = access;
  const name = config.getCurrentContext();
  // A kubeconfig may have none, whatever the library's type says.
  if (!name) throw new Error('it has no current context');
  if (config.getContextObject(name) === null) {
    throw new Error(`its current context ${name} is absent or names no cluster`);
  }
  const cluster = config.getCurrentCluster();
  if (cluster === null) {
    throw new Error(`the cluster of its context ${name} is absent or has no server`);
  }
  if (config.getCurrentUser() === null)
    throw new Error(`the user of its context ${name} is absent`);
  if (!URL.canParse(cluster.server)) throw new Error(`the server of its context ${name} is no URL`);
  if (credentials.plugin?.command === '') {
    throw new Error(`the plugin of its context ${name} has no command`);
  }
  if (cluster.server.startsWith('http:')) {
    // As kubectl does: the library refuses http unless TLS, which there is none of, goes unverified.
    Object.assign(cluster, { skipTLSVerify: true });
  }
  return access;
}

function isReadable(file: string): boolean {
  try {
    accessSync(file, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}
