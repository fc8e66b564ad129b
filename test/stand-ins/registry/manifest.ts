import { digestOf, isDigest, type DigestAlgorithm } from './digest.ts';
import { isForeignLayerType, isIndexType, isSchema1Type } from './media-types.ts';
import { RegistryRefusal } from './refusal.ts';

/** A descriptor as a manifest writes it (OCI Image 1.1, "Content Descriptors"). */
export interface DescriptorDocument {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly urls?: readonly string[];
  readonly platform?: { readonly os: string; readonly architecture: string };
}

/** What a registry must know of a manifest. */
export interface ManifestContents {
  /** Manifests of an index. */
  readonly children: readonly DescriptorDocument[];
  /** Config and layers, without those that need not be in the registry. */
  readonly blobs: readonly DescriptorDocument[];
  readonly subject: DescriptorDocument | undefined;
  /** `artifactType`, else the config's media type (OCI Distribution 1.1, "Listing Referrers"). */
  readonly artifactType: string | undefined;
  readonly annotations: Readonly<Record<string, string>> | undefined;
}

type Json = Readonly<Record<string, unknown>>;

/**
 * Digest under which a registry files a manifest: over the bytes, of a signed schema 1 manifest over
 * its payload without the signatures.
 */
export function manifestDigest(
  mediaType: string,
  bytes: Buffer,
  algorithm: DigestAlgorithm = 'sha256',
): string {
  return digestOf(isSchema1Type(mediaType) ? schema1Payload(bytes) : bytes, algorithm);
}

/**
 * Reads a manifest.
 * @throws RegistryRefusal `MANIFEST_INVALID`
 */
export function readManifest(mediaType: string, bytes: Buffer): ManifestContents {
  const document = parse(bytes);
  const announced = document['mediaType'];
  if (announced !== undefined && announced !== mediaType) {
    throw invalid(`mediaType in manifest is not '${mediaType}', its Content-Type`);
  }
  if (isSchema1Type(mediaType)) return schema1Contents(document);
  const index = isIndexType(mediaType);
  if (index === (document['layers'] !== undefined || document['config'] !== undefined)) {
    throw invalid('the document does not have the parts of its media type');
  }
  const children = index ? descriptors(document['manifests'], 'manifests') : [];
  const layers = index ? [] : descriptors(document['layers'] ?? [], 'layers');
  const config = index ? [] : descriptors([document['config']], 'config');
  const artifactType = document['artifactType'] ?? config[0]?.mediaType;
  return {
    children,
    blobs: [...config, ...layers.filter((layer) => !isForeignLayerType(layer.mediaType))],
    subject: descriptors(document['subject'] === undefined ? [] : [document['subject']])[0],
    artifactType: typeof artifactType === 'string' ? artifactType : undefined,
    annotations: document['annotations'] as ManifestContents['annotations'],
  };
}

function parse(bytes: Buffer): Json {
  try {
    const document: unknown = JSON.parse(bytes.toString('utf8'));
    if (typeof document === 'object' && document !== null) return document as Json;
  } catch {
    // Falls through to the refusal.
  }
  throw invalid('the manifest is no JSON object');
}

function descriptors(value: unknown, field = 'subject'): readonly DescriptorDocument[] {
  if (!Array.isArray(value)) throw invalid(`${field} is no list`);
  return value.map((entry: unknown) => {
    const { mediaType, digest, size } = (entry ?? {}) as Partial<DescriptorDocument>;
    if (typeof mediaType !== 'string' || typeof size !== 'number' || !isDigest(digest ?? '')) {
      throw invalid(`${field} has a malformed descriptor`);
    }
    return entry as DescriptorDocument;
  });
}

function schema1Contents(document: Json): ManifestContents {
  const layers = document['fsLayers'];
  if (!Array.isArray(layers)) throw invalid('fsLayers is no list');
  const digests = layers.map((layer: unknown) => (layer as { blobSum?: string }).blobSum ?? '');
  if (!digests.every(isDigest)) throw invalid('fsLayers has a malformed digest');
  return {
    children: [],
    // Schema 1 tells no sizes.
    blobs: [...new Set(digests)].map((digest) => ({
      mediaType: 'application/octet-stream',
      digest,
      size: -1,
    })),
    subject: undefined,
    artifactType: undefined,
    annotations: undefined,
  };
}

/** The signed part of a schema 1 manifest: `formatLength` bytes of it, then `formatTail`. */
function schema1Payload(bytes: Buffer): Buffer {
  const { signatures } = parse(bytes) as { signatures?: readonly { protected?: string }[] };
  const encoded = signatures?.[0]?.protected;
  if (encoded === undefined) return bytes;
  const { formatLength, formatTail } = JSON.parse(
    Buffer.from(encoded, 'base64url').toString('utf8'),
  ) as { formatLength: number; formatTail: string };
  return Buffer.concat([bytes.subarray(0, formatLength), Buffer.from(formatTail, 'base64url')]);
}

function invalid(message: string): RegistryRefusal {
  return new RegistryRefusal(400, 'MANIFEST_INVALID', message);
}
