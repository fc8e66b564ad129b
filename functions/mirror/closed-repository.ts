import { Readable } from 'node:stream';

import { isMirrorError, toMirrorError, type MirrorError } from '../errors.ts';
import { digestOf } from '../oci/digest.ts';
import type { DestinationRepository } from './ports.ts';

/** Whether an answer may be that of a repository that is closed as a whole, perhaps by a page in its place. */
export function isClosed(fault: MirrorError | undefined): fault is MirrorError {
  const isPage = fault?.status === 403 && isMirrorError(fault, 'RESPONSE_INVALID');
  return isPage || isMirrorError(fault, 'FORBIDDEN', 'UNAUTHORIZED');
}

/** The empty descriptor's blob (OCI Image 1.1, "Guidance for an Empty Descriptor"): it is in many repositories. */
const EMPTY = Buffer.from('{}');

/**
 * Whether a repository that shows nothing takes a push: one blob of two bytes, in place of a push of each
 * tag.
 */
export async function takesPushes({
  destination,
  signal,
}: {
  readonly destination: DestinationRepository;
  readonly signal: AbortSignal;
}): Promise<boolean> {
  const blob = {
    mediaType: 'application/vnd.oci.empty.v1+json',
    digest: digestOf(EMPTY),
    sizeBytes: EMPTY.length,
  };
  const open = (): Promise<Readable> => Promise.resolve(Readable.from([EMPTY]));
  return destination.uploadBlob(blob, open, {}, signal).then(
    () => true,
    // What else is wrong the tags will tell.
    (error: unknown) => !isClosed(toMirrorError(error, 'upload blob')),
  );
}
