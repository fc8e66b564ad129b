import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { freePort } from '../../stand-ins/child.ts';
import { findProgram, type Found, type Search } from './found.ts';
import { startServerIn } from './server.ts';

/** A running registry. */
export interface DockerRegistry {
  /** `127.0.0.1:PORT`, as it stands in an image name. */
  readonly host: string;
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  /** Ends it and removes what it has stored. */
  stop(): Promise<void>;
}

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

/**
 * Starts a registry of either version on 127.0.0.1, with an empty store of its own, for anybody.
 * @param sparseIndexes whether an index is taken without its children; distribution 3 only, which takes none by default
 */
export async function startDockerRegistry(
  program: Found,
  { sparseIndexes = false }: { readonly sparseIndexes?: boolean } = {},
): Promise<DockerRegistry> {
  const host = `127.0.0.1:${await freePort()}`;
  const url = `http://${host}`;
  const { stop } = await startServerIn('docker-registry', async (folder) => {
    const configFile = join(folder, 'config.json');
    const configuration = {
      version: 0.1,
      log: { level: 'info' },
      storage: { filesystem: { rootdirectory: join(folder, 'store') } },
      // The secret signs upload states; without one it makes one and warns.
      http: { addr: host, secret: 'upload-state' },
      ...(sparseIndexes ? { validation: { manifests: { indexes: { platforms: 'none' } } } } : {}),
    };
    // JSON is YAML, which is what it reads.
    await writeFile(configFile, JSON.stringify(configuration));
    return {
      path: program.path,
      args: ['serve', configFile],
      // Distribution 3 exports traces to a collector unless told otherwise.
      env: { OTEL_TRACES_EXPORTER: 'none' },
      ready: async () => (await fetch(`${url}/v2/`)).status === 200,
    };
  });
  return { host, url, stop };
}
