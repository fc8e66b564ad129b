import { RegistryRefusal } from '../refusal.ts';

/** What a manifest names and the registry does not have. */
export interface MissingParts {
  readonly children: readonly string[];
  readonly blobs: readonly string[];
  /** Whether a digest is that of a blob: such a child is refused for what it is. */
  readonly isBlob: (digest: string) => boolean;
}

/**
 * Artifact Registry's refusal of an incomplete manifest: the digests stand in the message, and the
 * code is not the one that the specification has for it.
 */
export function missingParts({ children, blobs, isBlob }: MissingParts): RegistryRefusal {
  if (children.some(isBlob)) {
    return new RegistryRefusal(
      400,
      'MANIFEST_INVALID',
      'Manifest list must reference manifests only.',
    );
  }
  return blobs.length > 0
    ? new RegistryRefusal(
        404,
        'BLOB_UNKNOWN',
        `Manifest references unknown blob(s): ${blobs.join(', ')}`,
      )
    : new RegistryRefusal(
        404,
        'MANIFEST_UNKNOWN',
        `Manifest list references unknown manifest(s): ${children.join(', ')}`,
      );
}

/** Artifact Registry with `immutableTags`: a tag can be created, never moved. */
export function immutableTag(tag: string): RegistryRefusal {
  return new RegistryRefusal(
    400,
    'FAILED_PRECONDITION',
    `The repository has enabled tag immutability: tag '${tag}' already exists and cannot be updated`,
  );
}
