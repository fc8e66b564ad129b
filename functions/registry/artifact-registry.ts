import { isFields, type Fields } from '../contract/fields.ts';
import type { ManifestMap } from '../mirror/ports.ts';
import { isDigest } from '../oci/digest.ts';
import { isTag } from '../oci/reference.ts';

/**
 * From here on the list "returns an incomplete list" (Artifact Registry, "Listing tags": more than
 * 10,000 images or tags).
 */
const INCOMPLETE_FROM = 10_000;

/**
 * Reads Artifact Registry's `manifest` map out of a `tags/list` answer. It is recognised by its
 * content, not by the host: an object of digests, each with its list of tags. Anything else is no
 * map. Numbers come as text.
 * @param tagCount tags of the same page
 * @param hasNext the answer names a next page
 */
export function manifestMap(
  page: Fields,
  tagCount: number,
  hasNext: boolean,
): ManifestMap | undefined {
  const manifest = page['manifest'];
  if (!isFields(manifest)) return undefined;
  const digestOfTag = new Map<string, string>();
  const manifests = new Map<string, number | undefined>();
  for (const [digest, entry] of Object.entries(manifest)) {
    if (!isDigest(digest) || !isFields(entry)) return undefined;
    const tags = entry['tag'] ?? [];
    if (!Array.isArray(tags)) return undefined;
    manifests.set(digest, readTime(entry['timeUploadedMs']));
    for (const tag of tags) {
      if (typeof tag === 'string' && isTag(tag)) digestOfTag.set(tag, digest);
    }
  }
  return {
    digestOfTag,
    manifests,
    complete: !hasNext && tagCount + manifests.size < INCOMPLETE_FROM,
  };
}

function readTime(value: unknown): number | undefined {
  const ms = typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : value;
  return typeof ms === 'number' && Number.isSafeInteger(ms) && ms > 0 ? ms : undefined;
}
