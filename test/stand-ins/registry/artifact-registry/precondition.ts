import type { RegistryContext } from '../context.ts';
import { isDigest } from '../digest.ts';
import { RegistryRefusal } from '../refusal.ts';

/** Artifact Registry with `immutableTags`: a tag can be created, never moved or deleted. */
export function immutableTag(tag: string): RegistryRefusal {
  return new RegistryRefusal(
    400,
    'FAILED_PRECONDITION',
    `The repository has enabled tag immutability: tag '${tag}' already exists and cannot be updated`,
  );
}

/**
 * What Artifact Registry does not delete: immutable tags, manifests that have a tag, children of an
 * index that is there.
 * @throws RegistryRefusal `FAILED_PRECONDITION`
 */
export function refuseDeletion(
  context: RegistryContext,
  repository: string,
  reference: string,
): void {
  const { store } = context;
  if (!isDigest(reference)) {
    if (context.switches().immutableTags) throw immutableTag(reference);
    return;
  }
  const tagged = store
    .tags(repository)
    .some((tag) => store.digestOfTag(repository, tag) === reference);
  const parent = store
    .manifests(repository)
    .find(({ contents }) => contents.children.some(({ digest }) => digest === reference));
  if (!tagged && parent === undefined) return;
  throw new RegistryRefusal(
    400,
    'FAILED_PRECONDITION',
    tagged
      ? 'Unable to delete the manifest because it is tagged'
      : `Unable to delete the manifest because ${parent?.digest ?? ''} refers to it`,
  );
}
