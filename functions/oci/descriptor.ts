/**
 * A content descriptor (OCI Image 1.1, "Content Descriptors"): what a manifest says of its parts.
 * `sizeBytes` is {@link UNKNOWN_SIZE} where the format tells none (Docker schema 1).
 */
export interface Descriptor {
  readonly mediaType: string;
  /** `sha256:` + 64 hex digits, or `sha512:` + 128. */
  readonly digest: string;
  readonly sizeBytes: number;
}

/** Size of a part whose manifest tells none: Docker schema 1 names its layers by digest only. */
export const UNKNOWN_SIZE = -1;
