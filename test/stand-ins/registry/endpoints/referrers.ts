import type { Call } from '../call.ts';
import { isDigest } from '../digest.ts';
import { bytesAnswer, noSuchPage, type Answer } from '../exchange.ts';
import type { DescriptorDocument } from '../manifest.ts';
import { OCI_INDEX } from '../media-types.ts';
import { RegistryRefusal } from '../refusal.ts';
import type { StoredManifest } from '../store.ts';

/** `GET /v2/<name>/referrers/<digest>` (OCI Distribution 1.1, "Listing Referrers"). */
export function referrers(call: Call, repository: string, subject: string): Answer {
  const { request, store, switches } = call;
  if (switches.referrers === 'absent') return noSuchPage();
  if (switches.referrers === 'lying') {
    // Valid JSON of the right media type, but no index.
    return bytesAnswer(200, OCI_INDEX, Buffer.from('{"referrers":[]}\n'));
  }
  if (!isDigest(subject)) throw new RegistryRefusal(400, 'DIGEST_INVALID', 'no digest');
  const artifactType = request.query.get('artifactType');
  const found = store
    .manifests(repository)
    .filter(({ contents }) => contents.subject?.digest === subject)
    .filter(({ contents }) => artifactType === null || contents.artifactType === artifactType);
  const index = { schemaVersion: 2, mediaType: OCI_INDEX, manifests: found.map(descriptorOf) };
  return bytesAnswer(
    200,
    OCI_INDEX,
    Buffer.from(JSON.stringify(index)),
    artifactType === null ? {} : { 'oci-filters-applied': 'artifactType' },
  );
}

function descriptorOf({ mediaType, digest, bytes, contents }: StoredManifest): DescriptorDocument {
  return {
    mediaType,
    digest,
    size: bytes.length,
    ...(contents.artifactType === undefined ? {} : { artifactType: contents.artifactType }),
    ...(contents.annotations === undefined ? {} : { annotations: contents.annotations }),
  };
}
