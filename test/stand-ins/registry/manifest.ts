import { isDigest } from './digest.ts';
import { isForeignLayerType, isIndexType } from './media-types.ts';
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
 * Reads a manifest.
 * @throws RegistryRefusal `MANIFEST_INVALID`
 */
export function readManifest(mediaType: string, bytes: Buffer): ManifestContents {
  const document = parse(bytes);
  const announced = document['mediaType'];
  if (announced !== undefined && announced !== mediaType) {
    throw invalid(`mediaType in manifest is not '${mediaType}', its Content-Type`);
  }
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

function invalid(message: string): RegistryRefusal {
  return new RegistryRefusal(400, 'MANIFEST_INVALID', message);
}
