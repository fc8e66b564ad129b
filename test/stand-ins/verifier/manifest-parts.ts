import { MANIFEST_TYPES } from '../registry/media-types.ts';

/** What a manifest points at. */
export interface Part {
  readonly digest: string;
  /** Undefined where the manifest does not tell (schema 1). */
  readonly sizeBytes: number | undefined;
  readonly mediaType: string;
}

/** The parts of a manifest that a puller needs. */
export interface ManifestParts {
  readonly manifests: readonly Part[];
  readonly blobs: readonly Part[];
}

interface DescriptorJson {
  readonly mediaType?: string;
  readonly digest?: string;
  readonly size?: number;
}

interface ManifestJson {
  readonly manifests?: readonly DescriptorJson[];
  readonly config?: DescriptorJson;
  readonly layers?: readonly DescriptorJson[];
  readonly fsLayers?: readonly { readonly blobSum?: string }[];
}

/**
 * Reads what a manifest points at. Non-distributable layers are left out; blobs that an index lists
 * (BuildKit's cache) are blobs.
 * @throws SyntaxError where it is no JSON
 */
export function partsOf(bytes: Buffer): ManifestParts {
  const document = JSON.parse(bytes.toString('utf8')) as ManifestJson;
  const listed = (document.manifests ?? []).map(toPart);
  const layers = (document.layers ?? [])
    .map(toPart)
    .filter(({ mediaType }) => !/foreign|nondistributable/.test(mediaType));
  const config = document.config === undefined ? [] : [toPart(document.config)];
  const old = (document.fsLayers ?? []).map(({ blobSum }) => toPart({ digest: blobSum ?? '' }));
  return {
    manifests: listed.filter(({ mediaType }) => MANIFEST_TYPES.includes(mediaType)),
    blobs: [
      ...listed.filter(({ mediaType }) => !MANIFEST_TYPES.includes(mediaType)),
      ...config,
      ...layers,
      ...old,
    ],
  };
}

function toPart(descriptor: DescriptorJson): Part {
  return {
    digest: descriptor.digest ?? '',
    sizeBytes: descriptor.size,
    mediaType: descriptor.mediaType ?? '',
  };
}
