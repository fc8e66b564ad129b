import type { Call } from '../call.ts';
import { nameUnknown, page } from '../endpoints/tags.ts';
import { jsonAnswer, type Answer } from '../exchange.ts';
import type { RegistryStore, StoredManifest } from '../store.ts';

/** "incomplete list if a repository has more than 10,000 images or tags" (Artifact Registry, list tags). */
const MAP_LIMIT = 10_000;

/** One entry of the `manifest` map; all numbers are texts. */
interface MapEntry {
  readonly imageSizeBytes: string;
  readonly layerId: string;
  readonly mediaType: string;
  readonly tag: string[];
  readonly timeCreatedMs: string;
  readonly timeUploadedMs: string;
}

/**
 * Google's form of `GET /v2/<name>/tags/list`: beside the tags every manifest of the image, tagged or
 * not, and the images below it. `n` pages the tags as the specification has it, untagged manifests
 * being on the last page; where tags and manifests exceed the product's own limit, the list is cut
 * without a word about it.
 */
export function listTagsWithMap({ request, store }: Call, image: string): Answer {
  const child = childrenOf(store.repositories(), image);
  if (store.manifests(image).length === 0 && child.length === 0) throw nameUnknown(image);
  const limits = { maxTagsPage: 0, defaultTagsPage: 0 };
  const { names, link } = page(request, store.tags(image), limits);
  const { tags, map } = mapOf(store, image, names, link === undefined);
  return jsonAnswer(
    200,
    { child, manifest: Object.fromEntries(map), name: image, tags },
    link === undefined ? {} : { link },
  );
}

/** The tags with their manifests, then the untagged manifests where `last`, up to the limit of both. */
function mapOf(
  store: RegistryStore,
  image: string,
  names: readonly string[],
  last: boolean,
): { readonly tags: readonly string[]; readonly map: ReadonlyMap<string, MapEntry> } {
  const tags: string[] = [];
  const map = new Map<string, MapEntry>();
  for (const tag of names) {
    const manifest = store.manifest(image, tag);
    if (manifest === undefined) continue;
    const entry = map.get(manifest.digest);
    if (tags.length + map.size + (entry === undefined ? 2 : 1) > MAP_LIMIT) break;
    tags.push(tag);
    if (entry === undefined) map.set(manifest.digest, entryOf(manifest, tag));
    else entry.tag.push(tag);
  }
  const tagged = new Set(store.tags(image).map((tag) => store.digestOfTag(image, tag)));
  for (const manifest of last ? store.manifests(image) : []) {
    if (tags.length + map.size >= MAP_LIMIT) break;
    if (!tagged.has(manifest.digest)) map.set(manifest.digest, entryOf(manifest));
  }
  return { tags, map };
}

function entryOf(manifest: StoredManifest, ...tags: readonly string[]): MapEntry {
  const blobBytes = manifest.contents.blobs.reduce((sum, { size }) => sum + Math.max(size, 0), 0);
  return {
    imageSizeBytes: String(blobBytes),
    layerId: '',
    mediaType: manifest.mediaType,
    tag: [...tags],
    timeCreatedMs: String(manifest.uploadedMs),
    timeUploadedMs: String(manifest.uploadedMs),
  };
}

/** Next path segments of the images below `image`. */
function childrenOf(repositories: readonly string[], image: string): readonly string[] {
  const prefix = `${image}/`;
  const below = repositories.filter((name) => name.startsWith(prefix));
  return [...new Set(below.map((name) => name.slice(prefix.length).split('/')[0] ?? ''))];
}
