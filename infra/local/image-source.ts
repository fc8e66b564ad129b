import {
  DEFAULT_LINES,
  nextRelease,
  seedImages,
  type SeededRepository,
} from '../../test/stand-ins/images/seed.ts';
import { storeTarget } from '../../test/stand-ins/images/target.ts';
import { startRegistry } from '../../test/stand-ins/registry/registry.ts';

/** A plain registry with a few small but real images, to which new releases come. */
export interface ImageSource {
  readonly url: string;
  /** `HOST/REPOSITORY` of every repository. */
  readonly images: readonly string[];
  /** Adds the next version to one repository, each in its turn; tells which image and tag. */
  release(): Promise<{ readonly image: string; readonly tag: string }>;
  close(): Promise<void>;
}

/** Starts the local source: bearer tokens as Docker Hub and GHCR want them, pulls are anonymous. */
export async function startImageSource(): Promise<ImageSource> {
  const registry = await startRegistry({ auth: { scheme: 'bearer' } });
  const target = storeTarget(registry.store);
  const repositories: SeededRepository[] = [...(await seedImages(target))];
  let turn = 0;
  return {
    url: registry.url,
    images: DEFAULT_LINES.map(({ repository }) => `${registry.host}/${repository}`),
    release: async () => {
      const index = turn++ % repositories.length;
      const before = repositories[index];
      if (before === undefined) throw new Error('the local source has no repository');
      const after = await nextRelease(target, before);
      repositories[index] = after;
      return { image: `${registry.host}/${after.repository}`, tag: after.versions.at(-1) ?? '' };
    },
    close: async () => registry.close(),
  };
}
