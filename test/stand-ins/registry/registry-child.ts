import { putSyntheticImage, syntheticLayer, type SyntheticLayer } from '../images/synthetic.ts';
import type { RegistrySwitches } from './dialect.ts';
import { startRegistry, type LocalRegistry, type RegistryOptions } from './registry.ts';

// The other end of registry-process.ts: a registry that ends with the channel to its parent.

/** Where a registry in a process of its own listens. */
export type Announcement = Pick<LocalRegistry, 'host' | 'url' | 'downloadUrl'>;

/** What a registry in a process of its own tells of itself. */
export interface RegistryFigures extends Pick<
  LocalRegistry['counter'],
  'total' | 'redirectHops' | 'uploadedBytes' | 'highestConcurrency' | 'summary'
> {
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

/** What its parent asks: an operation, and what it takes. */
export interface Command {
  readonly id: number;
  readonly name: keyof typeof operations;
  readonly argument: unknown;
}

/** The answer to a command of the same `id`. */
export interface Reply {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: string;
}

const registry = await startRegistry(JSON.parse(process.argv[2] ?? '{}') as RegistryOptions);
const layers = new Map<string, SyntheticLayer>();

const operations = {
  figures: (): RegistryFigures => {
    const { total, redirectHops, uploadedBytes, highestConcurrency, summary } = registry.counter;
    const { user, system } = process.cpuUsage();
    const cpuMs = (user + system) / 1000;
    return { total, redirectHops, uploadedBytes, highestConcurrency, summary, cpuMs };
  },
  reset: (): void => {
    registry.counter.reset();
  },
  clear: (): void => {
    registry.store.clear();
  },
  set: (changes: Partial<RegistrySwitches>): void => {
    registry.set(changes);
  },
  putSyntheticImage: (image: SyntheticImageRequest): { readonly digest: string } => {
    const built = image.layers.map(({ seed, sizeBytes }) => {
      const key = `${seed} ${sizeBytes}`;
      const layer = layers.get(key) ?? syntheticLayer(seed, sizeBytes);
      layers.set(key, layer);
      return layer;
    });
    const { digest } = putSyntheticImage(registry.store, image.repository, image.tag, built);
    return { digest };
  },
};

process.on('message', ({ id, name, argument }: Command) => {
  try {
    process.send?.({ id, result: operations[name](argument as never) } satisfies Reply);
  } catch (error) {
    process.send?.({ id, error: String(error) } satisfies Reply);
  }
});
process.once('disconnect', () => process.exit());
const { host, url, downloadUrl } = registry;
process.send?.({ host, url, downloadUrl } satisfies Announcement);
