import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { seedImages, type SeedOptions } from '../images/seed.ts';
import { putSyntheticImage, syntheticLayer, type SyntheticLayer } from '../images/synthetic.ts';
import { storeTarget } from '../images/target.ts';
import type { FaultRule } from './fault-rule.ts';
import type { LocalRegistry } from './registry.ts';
import type { RegistrySwitches } from './switches.ts';

/** What a registry in a process of its own tells of itself. */
export interface RegistryFigures {
  readonly total: number;
  readonly redirectHops: number;
  readonly uploadedBytes: number;
  readonly downloadedBytes: number;
  readonly highestConcurrency: number;
  /** `GET manifest 200` → how often. */
  readonly summary: Readonly<Record<string, number>>;
  readonly openUploads: number;
  /** Requests that a fault has struck. */
  readonly struck: number;
  /** Processor time of the process since its start, in milliseconds: how busy the rig itself was. */
  readonly cpuMs: number;
  readonly rssBytes: number;
}

/** A fault rule as JSON: `path` is the source of a regular expression. */
export type FaultRuleDocument = Omit<FaultRule, 'path' | 'when'> & { readonly path?: string };

/** An image of layers that are made while they are read. */
export interface SyntheticImageRequest {
  readonly repository: string;
  readonly tag: string;
  /** Size and seed of each layer; equal ones are the same layer, also between images. */
  readonly layers: readonly { readonly seed: string; readonly sizeBytes: number }[];
}

/** The address at which a registry's process is controlled. */
export interface RegistryControl {
  readonly url: string;
  close(): Promise<void>;
}

type Command = (body: unknown) => unknown;

/** Serves the control of a registry on an address of its own, so that its requests count nowhere. */
export async function startControl(registry: LocalRegistry, port = 0): Promise<RegistryControl> {
  const commands = commandsOf(registry);
  const server = createServer((request, response) => {
    answer(commands, request).then(
      (document) => {
        response.writeHead(200, { 'content-type': 'application/json' });
        response.end(JSON.stringify(document ?? {}));
      },
      (error: unknown) => {
        response.writeHead(400, { 'content-type': 'application/json' });
        response.end(JSON.stringify({ error: String(error) }));
      },
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      await new Promise<void>((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      });
    },
  };
}

function commandsOf(registry: LocalRegistry): Readonly<Record<string, Command>> {
  const layers = new Map<string, SyntheticLayer>();
  return {
    'GET /figures': () => figuresOf(registry),
    'POST /reset': () => {
      registry.counter.reset();
    },
    'POST /clear': () => {
      registry.store.clear();
    },
    'POST /collect-garbage': () => ({ removed: registry.store.collectGarbage() }),
    'POST /revoke-tokens': () => {
      registry.revokeTokens();
    },
    'PUT /switches': (body) => {
      registry.set(body as Partial<RegistrySwitches>);
      return registry.switches;
    },
    'POST /faults': (body) => {
      const { path, ...rule } = body as FaultRuleDocument;
      registry.faults.add(path === undefined ? rule : { ...rule, path: new RegExp(path) });
    },
    'DELETE /faults': () => {
      registry.faults.clear();
    },
    'POST /seed': (body) => seedImages(storeTarget(registry.store), body as SeedOptions),
    'POST /synthetic': (body) => {
      const { repository, tag, layers: wanted } = body as SyntheticImageRequest;
      const built = wanted.map(({ seed, sizeBytes }) => {
        const key = `${seed} ${sizeBytes}`;
        const layer = layers.get(key) ?? syntheticLayer(seed, sizeBytes);
        layers.set(key, layer);
        return layer;
      });
      const { digest } = putSyntheticImage(registry.store, repository, tag, built);
      return { digest };
    },
  };
}

async function answer(
  commands: Readonly<Record<string, Command>>,
  request: IncomingMessage,
): Promise<unknown> {
  const command = commands[`${request.method ?? ''} ${request.url ?? ''}`];
  if (command === undefined) throw new Error('no such command');
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString('utf8');
  return command(text === '' ? {} : (JSON.parse(text) as unknown));
}

function figuresOf({ counter, openUploads, faults }: LocalRegistry): RegistryFigures {
  const { total, redirectHops, uploadedBytes, downloadedBytes, highestConcurrency, summary } =
    counter;
  const { user, system } = process.cpuUsage();
  return {
    total,
    redirectHops,
    uploadedBytes,
    downloadedBytes,
    highestConcurrency,
    summary,
    openUploads,
    struck: faults.struck,
    cpuMs: (user + system) / 1000,
    rssBytes: process.memoryUsage.rss(),
  };
}
