import type { ImageTarget } from './target.ts';
import { putRelease, type ReleaseLine } from './release.ts';

/** A repository with its releases so far; grows with {@link nextRelease}. */
export interface SeededRepository extends ReleaseLine {
  /** Tags of versions in the order of their release; signature and fallback tags are not among them. */
  readonly versions: readonly string[];
}

/** What a source is filled with. */
export interface SeedOptions {
  /** All digests depend on it. Default `imagerepo-mirror`. */
  readonly seed?: string;
  /** Releases that each repository begins with. Default 3. */
  readonly releases?: number;
  /** Default {@link DEFAULT_LINES}. */
  readonly lines?: readonly ReleaseLine[];
}

const DEFAULT_SEED = 'imagerepo-mirror';

/** The repositories of the local source: one of each kind that a mirror meets. */
export const DEFAULT_LINES: readonly ReleaseLine[] = [
  { repository: 'demo/api', kind: 'image' },
  { repository: 'demo/legacy', kind: 'docker-image' },
  { repository: 'demo/web', kind: 'multi-platform' },
  { repository: 'demo/charts/podinfo', kind: 'chart' },
  { repository: 'demo/payments', kind: 'signed' },
  { repository: 'demo/ledger', kind: 'referred' },
];

/** Fills a registry with a few small but real images. */
export async function seedImages(
  target: ImageTarget,
  options: SeedOptions = {},
): Promise<readonly SeededRepository[]> {
  const { releases = 3, lines = DEFAULT_LINES } = options;
  const seeded: SeededRepository[] = [];
  for (const line of lines) {
    let repository: SeededRepository = { ...line, versions: [] };
    for (let count = 0; count < releases; count++) {
      repository = await nextRelease(target, repository, options.seed);
    }
    seeded.push(repository);
  }
  return seeded;
}

/** Adds the next version, `1.0.N`, to a repository. */
export async function nextRelease(
  target: ImageTarget,
  repository: SeededRepository,
  seed = DEFAULT_SEED,
): Promise<SeededRepository> {
  const version = `1.0.${repository.versions.length}`;
  await putRelease(target, repository, version, seed);
  return { ...repository, versions: [...repository.versions, version] };
}
