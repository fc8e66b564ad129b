import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import type { RegistryFigures, SyntheticImageRequest } from '../../infra/local/registry/control.ts';
import type { RegistrySwitches } from '../../infra/local/registry/switches.ts';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

/** A registry in a process of its own: what it costs is not the contender's. */
export interface RigRegistry {
  /** `127.0.0.1:PORT` */
  readonly host: string;
  readonly url: string;
  figures(): Promise<RegistryFigures>;
  /** Forgets the requests counted so far. */
  reset(): Promise<void>;
  /** Forgets all content. */
  clear(): Promise<void>;
  switch(changes: Partial<RegistrySwitches>): Promise<void>;
  /** Adds an image of layers that are made while they are read. */
  addImage(image: SyntheticImageRequest): Promise<void>;
  close(): Promise<void>;
}

/** Starts a registry; `args` are those of infra/local/registry/main.ts. */
export async function startRigRegistry(args: readonly string[]): Promise<RigRegistry> {
  const child = spawn(process.execPath, [join(root, 'infra/local/registry/main.ts'), ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  const { host, url, controlUrl } = JSON.parse(line) as {
    readonly host: string;
    readonly url: string;
    readonly controlUrl: string;
  };
  async function command(method: string, path: string, body?: object): Promise<unknown> {
    const response = await fetch(`${controlUrl}${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const answer: unknown = await response.json();
    if (!response.ok) throw new Error(`${path}: ${JSON.stringify(answer)}`);
    return answer;
  }
  return {
    host,
    url,
    figures: async () => (await command('GET', '/figures')) as RegistryFigures,
    reset: async () => {
      await command('POST', '/reset');
    },
    clear: async () => {
      await command('POST', '/clear');
    },
    switch: async (changes) => {
      await command('PUT', '/switches', changes);
    },
    addImage: async (image) => {
      await command('POST', '/synthetic', image);
    },
    close: async () => {
      child.kill('SIGTERM');
      if (child.exitCode === null) await once(child, 'exit');
    },
  };
}
