import { buildImage, EPOCH, textLayer, type BuiltImage } from '../stand-ins/images/image.ts';
import { seedImages } from '../stand-ins/images/seed.ts';
import { putImage, storeTarget } from '../stand-ins/images/target.ts';
import { startRegistry, type LocalRegistry } from '../stand-ins/registry/registry.ts';

/** A source with a few images and an empty destination, both on loopback. */
export interface Registries {
  readonly source: LocalRegistry;
  readonly destination: LocalRegistry;
  /** Pushes one small image under a tag; equal seeds make equal images. */
  push(repository: string, tag: string, seed?: string, sizeBytes?: number): Promise<BuiltImage>;
  close(): Promise<void>;
}

/** Starts both. The destination is of the plain dialect unless said otherwise. */
export async function startRegistries(
  options: {
    readonly seeded?: boolean;
    readonly destination?: Parameters<typeof startRegistry>[0];
    readonly source?: Parameters<typeof startRegistry>[0];
  } = {},
): Promise<Registries> {
  const source = await startRegistry(options.source);
  const destination = await startRegistry(options.destination);
  const target = storeTarget(source.store);
  if (options.seeded !== false) await seedImages(target);
  return {
    source,
    destination,
    push: async (repository, tag, seed = `${repository}:${tag}`, sizeBytes = 2000) => {
      const image = buildImage({
        layers: [textLayer(seed, 'app', sizeBytes)],
        platform: { os: 'linux', architecture: 'amd64' },
        created: EPOCH,
      });
      await putImage(target, repository, image, tag);
      return image;
    },
    close: async () => {
      await source.close();
      await destination.close();
    },
  };
}

/** Tags of a repository and what they point at. */
export function tagsOf(
  { store }: LocalRegistry,
  repository: string,
): Readonly<Record<string, string | undefined>> {
  return Object.fromEntries(
    store.tags(repository).map((tag) => [tag, store.digestOfTag(repository, tag)]),
  );
}
