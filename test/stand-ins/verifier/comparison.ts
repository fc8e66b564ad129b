import type { RepositoryReport } from './verifier.ts';

/** What is wrong with a mirror of a repository. */
export interface MirrorDifferences {
  /** Tags that the source has and the destination does not. */
  readonly missing: readonly string[];
  /** Tags that both have, with different digests. */
  readonly different: readonly string[];
  /** Tags that the destination alone has: kept on purpose, since nothing is ever removed. */
  readonly additional: readonly string[];
}

/**
 * Compares what was read at both sides.
 *
 * @param expected the source's tags that were to be mirrored; default all of them
 */
export function compareReports(
  source: RepositoryReport,
  destination: RepositoryReport,
  expected: (tag: string) => boolean = () => true,
): MirrorDifferences {
  const there = new Map(destination.tags.map(({ tag, digest }) => [tag, digest]));
  const wanted = source.tags.filter(({ tag }) => expected(tag));
  const known = new Set(source.tags.map(({ tag }) => tag));
  return {
    missing: wanted.filter(({ tag }) => !there.has(tag)).map(({ tag }) => tag),
    different: wanted
      .filter(({ tag, digest }) => there.has(tag) && there.get(tag) !== digest)
      .map(({ tag }) => tag),
    additional: [...there.keys()].filter((tag) => !known.has(tag)),
  };
}
