import { MirrorError } from '../errors.ts';
import { digestOf } from '../oci/digest.ts';
import { OCI_INDEX } from '../oci/media-types.ts';
import type { ManifestBytes } from './ports.ts';
import type { ManifestNode } from './source-manifests.ts';

/** An entry of an index, as it stands in the document. */
export interface IndexEntry {
  readonly digest: string;
  readonly [field: string]: unknown;
}

/** The entry that stands for a referrer (OCI Distribution 1.1, "Referrers Tag Schema"). */
export function entryOf({ digest, bytes, manifest }: ManifestNode): IndexEntry {
  return {
    mediaType: bytes.mediaType,
    digest,
    size: bytes.bytes.length,
    artifactType: manifest.artifactType,
    annotations: Object.keys(manifest.annotations).length === 0 ? undefined : manifest.annotations,
  };
}

/** The entries of an index. @throws MirrorError `MANIFEST_INVALID` where it is none */
export function entriesOf(index: ManifestBytes): readonly IndexEntry[] {
  const document = JSON.parse(index.bytes.toString('utf8')) as { readonly manifests?: unknown };
  // Go writes an empty list as null.
  if (document.manifests === null) return [];
  if (!Array.isArray(document.manifests)) {
    throw new MirrorError('MANIFEST_INVALID', 'the referrers tag does not name an index', {
      operation: 'merge referrers',
    });
  }
  return document.manifests as readonly IndexEntry[];
}

/**
 * Union of two lists by digest: what is there stays as and where it is, what is new comes after it.
 * Undefined: nothing is new.
 */
export function mergeEntries(
  present: readonly IndexEntry[],
  wanted: readonly IndexEntry[],
): readonly IndexEntry[] | undefined {
  const known = new Set(present.map(({ digest }) => digest));
  const added = wanted.filter(({ digest }) => !known.has(digest));
  return added.length === 0 ? undefined : [...present, ...added];
}

/** An index of these entries, ready to be pushed. */
export function indexOf(entries: readonly IndexEntry[]): ManifestBytes {
  const bytes = Buffer.from(
    JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: entries }),
  );
  return { mediaType: OCI_INDEX, digest: digestOf(bytes), bytes };
}
