import { immutableTag, missingParts } from '../artifact-registry/refusals.ts';
import type { RegistryContext } from '../context.ts';
import { algorithmOf, isDigest } from '../digest.ts';
import {
  bytesAnswer,
  emptyAnswer,
  MAX_MANIFEST_BYTES,
  noSuchPage,
  readBody,
  type Answer,
  type RegistryRequest,
} from '../exchange.ts';
import { manifestDigest, readManifest, type ManifestContents } from '../manifest.ts';
import { DOCKER_LIST, MANIFEST_TYPES } from '../media-types.ts';
import { RegistryRefusal } from '../refusal.ts';
import type { StoredManifest } from '../store.ts';

/** OCI Distribution 1.1, "Pulling manifests": grammar of a tag. */
const TAG = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/;

/** GET, HEAD and PUT of `/v2/<name>/manifests/<reference>`. */
export async function manifests(
  context: RegistryContext,
  request: RegistryRequest,
  repository: string,
  reference: string,
): Promise<Answer> {
  if (!isDigest(reference) && !TAG.test(reference)) return noSuchPage();
  switch (request.method) {
    case 'GET':
    case 'HEAD':
      return getManifest(context, request, repository, reference);
    case 'PUT':
      return putManifest(context, request, repository, reference);
    default:
      throw new RegistryRefusal(405, 'UNSUPPORTED', `${request.method} of a manifest`);
  }
}

/** OCI Distribution 1.1, "Pulling manifests". */
function getManifest(
  context: RegistryContext,
  request: RegistryRequest,
  repository: string,
  reference: string,
): Answer {
  const found = context.store.manifest(repository, reference);
  if (found === undefined) {
    throw new RegistryRefusal(404, 'MANIFEST_UNKNOWN', 'manifest unknown', {
      detail: { unknown: reference },
    });
  }
  const shown = isDigest(reference) ? found : platformOf(context, request, repository, found);
  requireAcceptable(shown, request);
  return bytesAnswer(200, shown.mediaType, shown.bytes, {
    ...contentDigest(context, shown.digest),
    etag: `"${shown.digest}"`,
  });
}

/**
 * Docker's distribution gives readers who do not accept a manifest list its linux/amd64 manifest: a
 * tag then seems to have another digest.
 */
function platformOf(
  context: RegistryContext,
  request: RegistryRequest,
  repository: string,
  found: StoredManifest,
): StoredManifest {
  if (found.mediaType !== DOCKER_LIST || accepts(request, found.mediaType)) return found;
  const child = found.contents.children.find(
    ({ platform }) => platform?.os === 'linux' && platform.architecture === 'amd64',
  );
  return context.store.manifest(repository, child?.digest ?? found.digest) ?? found;
}

/** A manifest of a type that the reader does not name is as good as unknown; wildcards do not name it. */
function requireAcceptable(manifest: StoredManifest, request: RegistryRequest): void {
  if (accepts(request, manifest.mediaType)) return;
  throw new RegistryRefusal(
    404,
    'MANIFEST_UNKNOWN',
    `Manifest has media type ${manifest.mediaType}, but the request does not accept it`,
  );
}

function accepts(request: RegistryRequest, mediaType: string): boolean {
  const ranges = (request.headers.accept ?? '').split(',');
  return ranges.some((range) => range.split(';')[0]?.trim() === mediaType);
}

/** OCI Distribution 1.1, "Pushing Manifests" and "Pushing Manifests with Subject". */
async function putManifest(
  context: RegistryContext,
  request: RegistryRequest,
  repository: string,
  reference: string,
): Promise<Answer> {
  const mediaType = (request.headers['content-type'] ?? '').split(';')[0]?.trim() ?? '';
  if (!MANIFEST_TYPES.includes(mediaType)) {
    throw new RegistryRefusal(400, 'MANIFEST_INVALID', `'${mediaType}' is no manifest's type`);
  }
  const bytes = await readBody(request, MAX_MANIFEST_BYTES);
  const byDigest = isDigest(reference);
  const digest = manifestDigest(mediaType, bytes, byDigest ? algorithmOf(reference) : 'sha256');
  if (byDigest && digest !== reference) {
    throw new RegistryRefusal(400, 'DIGEST_INVALID', 'provided digest did not match the content');
  }
  const contents = readManifest(mediaType, bytes);
  requireParts(context, repository, contents);
  const before = context.store.digestOfTag(repository, reference);
  if (context.switches().immutableTags && before !== undefined && before !== digest) {
    throw immutableTag(reference);
  }
  context.store.putManifest(
    repository,
    { mediaType, bytes, digest },
    byDigest ? undefined : reference,
  );
  return emptyAnswer(201, {
    location: `${request.origin}/v2/${repository}/manifests/${digest}`,
    ...contentDigest(context, digest),
    ...(contents.subject !== undefined && context.dialect === 'distribution'
      ? { 'oci-subject': contents.subject.digest }
      : {}),
  });
}

/** Refuses a manifest whose children or blobs the registry does not have. */
function requireParts(
  context: RegistryContext,
  repository: string,
  contents: ManifestContents,
): void {
  const { store } = context;
  if (context.switches().manifestParts === 'unchecked') return;
  const google = context.dialect === 'artifact-registry';
  const hasBlob = (digest: string): boolean => store.blob(repository, digest) !== undefined;
  const hasManifest = (digest: string): boolean => store.manifest(repository, digest) !== undefined;
  const children = contents.children
    .map(({ digest }) => digest)
    .filter((digest) => !hasManifest(digest) && (google || !hasBlob(digest)));
  const blobs = contents.blobs.map(({ digest }) => digest).filter((digest) => !hasBlob(digest));
  if (children.length + blobs.length === 0) return;
  if (google) throw missingParts({ children, blobs, isBlob: hasBlob });
  // Docker's distribution names every missing part.
  const message = 'blob unknown to registry';
  throw new RegistryRefusal(400, 'MANIFEST_BLOB_UNKNOWN', message, {
    entries: [...children, ...blobs].map((digest) => ({
      code: 'MANIFEST_BLOB_UNKNOWN',
      message,
      detail: digest,
    })),
  });
}

function contentDigest(context: RegistryContext, digest: string): Record<string, string> {
  return context.switches().contentDigest ? { 'docker-content-digest': digest } : {};
}
