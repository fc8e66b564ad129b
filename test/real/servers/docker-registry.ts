import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { freePort } from '../../stand-ins/child.ts';
import { findProgram, type Found, type Search } from './found.ts';
import { makeScratch } from './scratch.ts';
import { startServer } from './server.ts';
import type { TokenServer } from './token-server.ts';

/** Who may use the registry: anybody, an account by Basic authentication, or holders of a token. */
export type RegistryAccess =
  | { readonly kind: 'anybody' }
  | { readonly kind: 'basic' }
  | { readonly kind: 'token'; readonly tokenServer: TokenServer };

/** How a registry is started. */
export interface DockerRegistryOptions {
  /** Default: anybody. Tokens need distribution 3: version 2 wants an X.509 certificate for its keys. */
  readonly access?: RegistryAccess;
  /** Whether manifests and blobs can be deleted. Default false, as the product's. */
  readonly deletes?: boolean;
  /** Whether an index is taken without its children; distribution 3 only. Default false, as the product's. */
  readonly sparseIndexes?: boolean;
}

/** A running registry. */
export interface DockerRegistry {
  /** `127.0.0.1:PORT`, as it stands in an image name. */
  readonly host: string;
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  readonly pid: number;
  /** Ends it and removes what it has stored. */
  stop(): Promise<void>;
}

/** The account of a registry with Basic authentication. */
export const basicAccount = { username: 'mirror', password: 'open-sesame' };

/** The account's line of an htpasswd file; Distribution takes bcrypt only, which Node has not. Cost 4, the lowest. */
const htpasswd = 'mirror:$2b$04$imagerepoMirrorTestAA.g0LV6ZmvcKv5eBFPWiOcu.v/8WAzf1W\n';

/** Debian's docker-registry: Docker's distribution 2. */
export function findDockerRegistry(): Search {
  return findProgram({
    name: 'docker-registry',
    versionArgs: ['--version'],
    version: /docker\/distribution v?(2\.\S+?)(?:\+\S*)?\s/,
    remedy: 'apt-get install docker-registry',
  });
}

/** CNCF's distribution 3: the media types of OCI 1.1, and tokens checked against a JWK set. */
export function findDistribution(): Search {
  return findProgram({
    name: 'distribution',
    program: 'registry',
    versionArgs: ['--version'],
    version: /distribution\/v3 v?(\S+)/,
    remedy: 'bash .ci/servers.sh distribution',
  });
}

/** Starts a registry of either version on 127.0.0.1, with an empty store of its own. */
export async function startDockerRegistry(
  program: Found,
  options: DockerRegistryOptions = {},
): Promise<DockerRegistry> {
  const scratch = await makeScratch('docker-registry');
  const folder = scratch.path;
  const host = `127.0.0.1:${await freePort()}`;
  const url = `http://${host}`;
  const configFile = join(folder, 'config.json');
  try {
    const auth = await authentication(folder, options.access ?? { kind: 'anybody' });
    // JSON is YAML, which is what it reads.
    await writeFile(configFile, JSON.stringify(configuration(folder, host, auth, options)));
    const child = await startServer({
      path: program.path,
      args: ['serve', configFile],
      // Distribution 3 exports traces to a collector unless told otherwise.
      env: { OTEL_TRACES_EXPORTER: 'none' },
      ready: async () => [200, 401].includes((await fetch(`${url}/v2/`)).status),
    });
    return {
      host,
      url,
      pid: child.pid,
      stop: async () => {
        await child.stop();
        await scratch.remove();
      },
    };
  } catch (error) {
    await scratch.remove();
    throw error;
  }
}

function configuration(
  folder: string,
  host: string,
  auth: object,
  options: DockerRegistryOptions,
): object {
  return {
    version: 0.1,
    log: { level: 'info' },
    storage: {
      filesystem: { rootdirectory: join(folder, 'store') },
      delete: { enabled: options.deletes ?? false },
    },
    // The secret signs upload states; without one it makes one and warns.
    http: { addr: host, secret: 'upload-state' },
    ...auth,
    ...(options.sparseIndexes === true
      ? { validation: { manifests: { indexes: { platforms: 'none' } } } }
      : {}),
  };
}

async function authentication(folder: string, access: RegistryAccess): Promise<object> {
  if (access.kind === 'anybody') return {};
  if (access.kind === 'basic') {
    const path = join(folder, 'htpasswd');
    await writeFile(path, htpasswd);
    return { auth: { htpasswd: { realm: 'registry.test', path } } };
  }
  const { realm, service, issuer, jwks } = access.tokenServer;
  const path = join(folder, 'jwks.json');
  await writeFile(path, jwks);
  return { auth: { token: { realm, service, issuer, jwks: path } } };
}
