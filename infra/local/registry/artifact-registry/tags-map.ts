import type { RegistryContext } from '../context.ts';
import { nameUnknown } from '../endpoints/tags.ts';
import { jsonAnswer, type Answer, type RegistryRequest } from '../exchange.ts';
import { RegistryRefusal } from '../refusal.ts';
import type { StoredManifest } from '../store.ts';

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
 * not, and the images below it. The list is cut where tags and manifests exceed the limit, without a
 * word about it.
 */
export function listTagsWithMap(
  context: RegistryContext,
  request: RegistryRequest,
  image: string,
): Answer {
  const { store } = context;
  const manifests = store.manifests(image);
  const child = childrenOf(store.repositories(), image);
  if (manifests.length === 0 && child.length === 0) throw nameUnknown(image);
  const limit = Math.min(context.switches().mapLimit, wantedLength(request));
  const last = request.query.get('last') ?? '';
  const tags: string[] = [];
  const map = new Map<string, MapEntry>();
  const all = store.tags(image).filter((tag) => tag > last);
  for (const tag of all) {
    const manifest = store.manifest(image, tag);
    if (manifest === undefined) continue;
    const entry = map.get(manifest.digest);
    if (tags.length + map.size + (entry === undefined ? 2 : 1) > limit) break;
    tags.push(tag);
    if (entry === undefined) map.set(manifest.digest, entryOf(manifest, tag));
    else entry.tag.push(tag);
  }
  const tagged = new Set(all.map((tag) => store.digestOfTag(image, tag)));
  for (const manifest of manifests) {
    if (tags.length + map.size >= limit) break;
    if (!tagged.has(manifest.digest)) map.set(manifest.digest, entryOf(manifest));
  }
  return jsonAnswer(200, { child, manifest: Object.fromEntries(map), name: image, tags });
}

function wantedLength(request: RegistryRequest): number {
  const n = request.query.get('n') ?? '10000';
  if (!/^[1-9]\d*$/.test(n)) {
    throw new RegistryRefusal(400, 'PAGINATION_NUMBER_INVALID', 'n is no positive number');
  }
  return Number(n);
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
