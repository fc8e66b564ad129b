import { defined } from '../contract/fields.ts';
import type { DestinationRepository } from '../mirror/ports.ts';
import { headBlob } from './blobs.ts';
import { getManifest, headManifest, putManifest } from './manifests.ts';
import { listReferrers } from './referrers.ts';
import { listTags } from './tags.ts';
import { uploadBlob, type UploadParts } from './uploads.ts';

/** What a destination repository is made of. */
export interface DestinationParts extends UploadParts {
  readonly pageSize: number;
  /** The tag list of Artifact Registry's own API, where the host has one. */
  readonly listTagDigests?:
    ((signal: AbortSignal) => Promise<ReadonlyMap<string, string> | undefined>) | undefined;
}

/** A repository to write to. */
export function destinationRepository(parts: DestinationParts): DestinationRepository {
  const { target, memory, timing, google, pageSize, listTagDigests } = parts;
  return {
    name: `${target.client.registry.host}/${target.path}`,
    host: target.client.registry.host,
    google,
    listTags: (signal, part) =>
      listTags(
        {
          ...target,
          part,
          pageSize: memory.pageSizeRefused ? undefined : pageSize,
          onSizeRefused() {
            memory.pageSizeRefused = true;
          },
        },
        signal,
      ),
    ...defined({ listTagDigests }),
    headManifest: async (reference, signal, isListed) =>
      (await headManifest(target, reference, signal, isListed)).head,
    getManifest: async (reference, signal) =>
      (await getManifest(target, reference, signal)).manifest,
    hasBlob: async (blob, signal) => (await headBlob(target, blob.digest, signal)) !== undefined,
    uploadBlob: (blob, open, options, signal) => uploadBlob(parts, blob, open, options, signal),
    async listsReferrer(subject, referrer, signal) {
      if (memory.listsReferrers !== undefined) return memory.listsReferrers;
      const answer = await listReferrers(target, subject, timing.now, signal);
      // It says nothing of the host's other repositories.
      if (answer === 'refused') return false;
      memory.listsReferrers =
        typeof answer !== 'string' && answer.some(({ digest }) => digest === referrer);
      return memory.listsReferrers;
    },
    putManifest: (reference, manifest, signal, mayStart) =>
      putManifest(target, reference, manifest, signal, mayStart),
  };
}
