import { MirrorError } from '../errors.ts';
import type { Descriptor } from './ports.ts';

/** Indexes are followed so deep: an index of a tag is level 1. */
const MAX_INDEX_DEPTH = 4;
/** Manifests below one tag, its referrers included. */
const MAX_MANIFESTS = 1000;

/** The manifests that one tag may reach: index and referrer walks share it. */
export class ManifestLimit {
  readonly #seen = new Set<string>();

  /** Counts manifests, each digest once. @throws MirrorError `GRAPH_TOO_LARGE` over {@link MAX_MANIFESTS} */
  count(descriptors: readonly Descriptor[]): void {
    for (const { digest } of descriptors) this.#seen.add(digest);
    // guard: graph-size
    if (this.#seen.size > MAX_MANIFESTS)
      throw new MirrorError(
        'GRAPH_TOO_LARGE',
        `the tag reaches more than ${MAX_MANIFESTS} manifests`,
        {
          operation: 'walk index',
          side: 'source',
        },
      );
  }
}

/** Where a walk through a graph of manifests stands. */
export interface GraphPath {
  readonly budget: ManifestLimit;
  /** Digests from the tag's own manifest down to the one being looked at. */
  readonly path: readonly string[];
}

/** A walk that begins at a tag's own manifest, or at a referrer. */
export function graphPathFrom(digest: string, budget: ManifestLimit): GraphPath {
  return { budget, path: [digest] };
}

/**
 * Steps into the children of an index and counts them.
 * @throws MirrorError `INDEX_TOO_DEEP`, `GRAPH_TOO_LARGE`, `MANIFEST_INVALID` for a cycle
 */
export function enterIndex(walk: GraphPath, children: readonly Descriptor[]): void {
  // guard: index-depth
  if (walk.path.length > MAX_INDEX_DEPTH)
    throw new MirrorError('INDEX_TOO_DEEP', `the index has more than ${MAX_INDEX_DEPTH} levels`, {
      operation: 'walk index',
      side: 'source',
    });
  const cycle = children.find(({ digest }) => walk.path.includes(digest));
  // guard: index-cycle
  if (cycle !== undefined)
    throw new MirrorError('MANIFEST_INVALID', `the index contains itself (${cycle.digest})`, {
      operation: 'walk index',
      side: 'source',
    });
  walk.budget.count(children);
}

/** The walk one level further down. */
export function descend(walk: GraphPath, digest: string): GraphPath {
  return { budget: walk.budget, path: [...walk.path, digest] };
}
