import { putSyntheticImage, syntheticLayer, type SyntheticLayer } from '../images/synthetic.ts';
import type { RegistrySwitches } from './dialect.ts';
import { startRegistry, type LocalRegistry, type RegistryOptions } from './registry.ts';

// The other end of registry-process.ts: a registry that ends with the channel to its parent.

/** Where a registry in a process of its own listens. */
export type Announcement = Pick<LocalRegistry, 'host' | 'url' | 'downloadUrl'>;

/** What a registry in a process of its own tells of itself. */
export interface RegistryFigures {
  readonly total: number;
  readonly redirectHops: number;
  readonly uploadedBytes: number;
  readonly highestConcurrency: number;
  /** `GET manifest 200` → how often. */
  readonly summary: Readonly<Record<string, number>>;
  /** Processor time of the process since its start, in milliseconds: how busy the rig itself was. */
  readonly cpuMs: number;
}

/** An image of layers that are made while they are read. */
export interface SyntheticImageRequest {
  readonly repository: string;
  readonly tag: string;
  /** Size and seed of each layer; equal ones are the same layer, also between images. */
  readonly layers: readonly { readonly seed: string; readonly sizeBytes: number }[];
}

/** What its parent asks. */
export type Command =
  | { readonly name: 'figures' | 'reset' | 'clear' }
  | { readonly name: 'set'; readonly changes: Partial<RegistrySwitches> }
  | { readonly name: 'putSyntheticImage'; readonly image: SyntheticImageRequest };

/** The answer to a command of the same `id`. */
export interface Reply {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: string;
}

const layers = new Map<string, SyntheticLayer>();

function carryOut(registry: LocalRegistry, command: Command): unknown {
  switch (command.name) {
    case 'figures':
      return figuresOf(registry);
    case 'reset':
      registry.counter.reset();
      return undefined;
    case 'clear':
      registry.store.clear();
      return undefined;
    case 'set':
      registry.set(command.changes);
      return undefined;
    case 'putSyntheticImage': {
      const { repository, tag, layers: wanted } = command.image;
      const built = wanted.map(({ seed, sizeBytes }) => {
        const key = `${seed} ${sizeBytes}`;
        const layer = layers.get(key) ?? syntheticLayer(seed, sizeBytes);
        layers.set(key, layer);
        return layer;
      });
      const { digest } = putSyntheticImage(registry.store, repository, tag, built);
      return { digest };
    }
    default:
      return command satisfies never;
  }
}

function figuresOf({ counter }: LocalRegistry): RegistryFigures {
  const { total, redirectHops, uploadedBytes, highestConcurrency, summary } = counter;
  const { user, system } = process.cpuUsage();
  const cpuMs = (user + system) / 1000;
  return { total, redirectHops, uploadedBytes, highestConcurrency, summary, cpuMs };
}

const registry = await startRegistry(JSON.parse(process.argv[2] ?? '{}') as RegistryOptions);
process.on('message', (command: Command & { readonly id: number }) => {
  const { id } = command;
  try {
    process.send?.({ id, result: carryOut(registry, command) } satisfies Reply);
  } catch (error) {
    process.send?.({ id, error: String(error) } satisfies Reply);
  }
});
process.once('disconnect', () => process.exit());
const { host, url, downloadUrl } = registry;
process.send?.({ host, url, downloadUrl } satisfies Announcement);
