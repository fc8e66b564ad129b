import { readBody } from '../../http.ts';
import type { Call } from '../call.ts';
import { algorithmOf, isDigest } from '../digest.ts';
import {
  bytesAnswer,
  emptyAnswer,
  noSuchPage,
  type Answer,
  type RegistryRequest,
} from '../exchange.ts';
import { manifestDigest, readManifest, type ManifestContents } from '../manifest.ts';
import { DOCKER_LIST, MANIFEST_TYPES } from '../media-types.ts';
import { RegistryRefusal } from '../refusal.ts';
import type { StoredManifest } from '../store.ts';

/** OCI Distribution 1.1, "Pulling manifests": grammar of a tag. */
const TAG = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/;

/** Documents above this are refused: 4 MiB (OCI Distribution 1.1, "Pushing Manifests"). */
const MAX_MANIFEST_BYTES = 4 * 1024 * 1024;

/** GET, HEAD and PUT of `/v2/<name>/manifests/<reference>`. */
export async function manifests(
  call: Call,
  repository: string,
  reference: string,
): Promise<Answer> {
  const { method } = call.request;
  if (!isDigest(reference) && !TAG.test(reference)) return noSuchPage();
  switch (method) {
    case 'GET':
    case 'HEAD':
      return getManifest(call, repository, reference);
    case 'PUT':
      return putManifest(call, repository, reference);
    default:
      throw new RegistryRefusal(405, 'UNSUPPORTED', `${method} of a manifest`);
  }
}

/** OCI Distribution 1.1, "Pulling manifests". */
function getManifest(call: Call, repository: string, reference: string): Answer {
  const found = call.store.manifest(repository, reference);
  if (found === undefined) {
    throw new RegistryRefusal(404, 'MANIFEST_UNKNOWN', 'manifest unknown', {
      detail: { unknown: reference },
    });
  }
  const shown = isDigest(reference) ? found : platformOf(call, repository, found);
  requireAcceptable(shown, call.request);
  return bytesAnswer(200, shown.mediaType, shown.bytes, {
    ...contentDigest(call, shown.digest),
    etag: `"${shown.digest}"`,
  });
}

/**
 * Docker's distribution gives readers who do not accept a manifest list its linux/amd64 manifest: a
 * tag then seems to have another digest.
 */
function platformOf(
  { request, store }: Call,
  repository: string,
  found: StoredManifest,
): StoredManifest {
  if (found.mediaType !== DOCKER_LIST || accepts(request, found.mediaType)) return found;
  const child = found.contents.children.find(
    ({ platform }) => platform?.os === 'linux' && platform.architecture === 'amd64',
  );
  return store.manifest(repository, child?.digest ?? found.digest) ?? found;
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
async function putManifest(call: Call, repository: string, reference: string): Promise<Answer> {
  const { request, dialect, store, switches } = call;
  const mediaType = (request.headers['content-type'] ?? '').split(';')[0]?.trim() ?? '';
  if (!MANIFEST_TYPES.includes(mediaType)) {
    throw new RegistryRefusal(400, 'MANIFEST_INVALID', `'${mediaType}' is no manifest's type`);
  }
  const bytes = await readBody(
    request.body,
    MAX_MANIFEST_BYTES,
    () => new RegistryRefusal(413, 'SIZE_INVALID', `more than ${MAX_MANIFEST_BYTES} bytes`),
  );
  const byDigest = isDigest(reference);
  const digest = manifestDigest(mediaType, bytes, byDigest ? algorithmOf(reference) : 'sha256');
  if (byDigest && digest !== reference) {
    throw new RegistryRefusal(400, 'DIGEST_INVALID', 'provided digest did not match the content');
  }
  const contents = readManifest(mediaType, bytes);
  requireParts(call, repository, contents);
  const before = store.digestOfTag(repository, reference);
  if (switches.immutableTags && before !== undefined && before !== digest) {
    throw new RegistryRefusal(
      400,
      'FAILED_PRECONDITION',
      `The repository has enabled tag immutability: tag '${reference}' already exists and cannot be updated`,
    );
  }
  const tag = byDigest ? undefined : reference;
  store.putManifest(repository, { mediaType, bytes, digest }, tag);
  return emptyAnswer(201, {
    location: `${request.origin}/v2/${repository}/manifests/${digest}`,
    ...contentDigest(call, digest),
    ...(contents.subject !== undefined && dialect === 'distribution'
      ? { 'oci-subject': contents.subject.digest }
      : {}),
  });
}

/** Refuses a manifest whose children or blobs the registry does not have. */
function requireParts(
  { dialect, store, switches }: Call,
  repository: string,
  contents: ManifestContents,
): void {
  if (switches.manifestParts === 'unchecked') return;
  const google = dialect === 'artifact-registry';
  const hasBlob = (digest: string): boolean => store.blob(repository, digest) !== undefined;
  const hasManifest = (digest: string): boolean => store.manifest(repository, digest) !== undefined;
  const children = contents.children
    .map(({ digest }) => digest)
    .filter((digest) => !hasManifest(digest) && (google || !hasBlob(digest)));
  const blobs = contents.blobs.map(({ digest }) => digest).filter((digest) => !hasBlob(digest));
  if (children.length + blobs.length === 0) return;
  if (google && children.some(hasBlob)) {
    const message = 'Manifest list must reference manifests only.';
    throw new RegistryRefusal(400, 'MANIFEST_INVALID', message);
  }
  if (google) throw googleMissing(children, blobs);
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

/**
 * Artifact Registry's refusal of an incomplete manifest: the digests stand in the message, and the
 * code is not the one that the specification has for it.
 */
function googleMissing(children: readonly string[], blobs: readonly string[]): RegistryRefusal {
  const [code, message] = (
    blobs.length > 0
      ? ['BLOB_UNKNOWN', `Manifest references unknown blob(s): ${blobs.join(', ')}`]
      : ['MANIFEST_UNKNOWN', `Manifest list references unknown manifest(s): ${children.join(', ')}`]
  ) as readonly [string, string];
  return new RegistryRefusal(404, code, message);
}

function contentDigest({ switches }: Call, digest: string): Record<string, string> {
  return switches.contentDigest ? { 'docker-content-digest': digest } : {};
}
