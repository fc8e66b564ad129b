import { hasDigest } from './digest.ts';

/**
 * A content descriptor (OCI Image 1.1, "Content Descriptors"): what a manifest says of its parts.
 * `sizeBytes` is {@link UNKNOWN_SIZE} where nothing tells it.
 */
export interface Descriptor {
  readonly mediaType: string;
  /** `sha256:` + 64 hex digits, or `sha512:` + 128. */
  readonly digest: string;
  readonly sizeBytes: number;
  /** The content itself in base64, where the manifest embeds it; see {@link embeddedBytes}. */
  readonly data?: string;
  /** It names URLs of third parties where the content lies too. */
  readonly hasUrls?: boolean;
  /**
   * What an index says that it is for (OCI Image 1.1, "Image Index"): several where the index names it
   * several times. Absent: it says nothing, or `unknown`.
   */
  readonly platforms?: readonly DescriptorPlatform[];
  /** Digest of the manifest in the same index that it describes: an attestation of BuildKit's. */
  readonly describes?: string;
}

/** A platform as an index has it. */
export interface DescriptorPlatform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
}

/**
 * The content that a descriptor embeds (OCI Image 1.1, "Embedded Content"); undefined where there is
 * none, or where it has not the size and digest of the descriptor.
 */
export function embeddedBytes({ data, digest, sizeBytes }: Descriptor): Buffer | undefined {
  if (data === undefined) return undefined;
  const bytes = Buffer.from(data, 'base64');
  const fits = sizeBytes === UNKNOWN_SIZE || bytes.length === sizeBytes;
  return fits && hasDigest(bytes, digest) ? bytes : undefined;
}

/**
 * Size of a part whose manifest tells none that can be read: the digest proves its bytes all the same. Docker
 * schema 1 names all its layers so.
 */
export const UNKNOWN_SIZE = -1;
