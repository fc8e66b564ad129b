import { uploadPath } from '../artifact-registry/images.ts';
import type { RegistryContext } from '../context.ts';
import { algorithmOf, isDigest } from '../digest.ts';
import { emptyAnswer, type Answer, type RegistryRequest } from '../exchange.ts';
import { RegistryRefusal } from '../refusal.ts';
import type { UploadSession } from '../upload-session.ts';

/** `POST /v2/<name>/blobs/uploads/` (OCI Distribution 1.1, "Pushing blobs", "Mounting a blob", "Single POST"). */
export async function beginUpload(
  context: RegistryContext,
  request: RegistryRequest,
  repository: string,
): Promise<Answer> {
  if (request.method !== 'POST') {
    throw new RegistryRefusal(405, 'UNSUPPORTED', `${request.method} of uploads`);
  }
  const mount = request.query.get('mount');
  // What is no digest is no mount.
  if (mount !== null && isDigest(mount)) {
    // Another registry's repository is none of this one's.
    const from = request.query.has('origin') ? null : request.query.get('from');
    if (mounted(context, repository, mount, from)) {
      return created(context, request, repository, mount);
    }
  }
  const session = context.uploads.begin(repository);
  const digest = request.query.get('digest');
  if (digest !== null && context.switches().singlePost === 'honoured') {
    return finishUpload(context, request, session, digest);
  }
  // The bytes of a single POST are dropped, as Docker's distribution does.
  return accepted(context, request, session, 202);
}

/** PATCH and PUT of an upload's address. */
export async function continueUpload(
  context: RegistryContext,
  request: RegistryRequest,
  place: { readonly id: string; readonly pool: string },
): Promise<Answer> {
  const session = context.uploads.get(place.id);
  if (session === undefined || context.store.poolOf(session.repository) !== place.pool) {
    throw new RegistryRefusal(404, 'BLOB_UPLOAD_UNKNOWN', 'blob upload unknown to registry');
  }
  requireState(context, request, session);
  switch (request.method) {
    case 'PATCH':
      return patchUpload(context, request, session);
    case 'PUT':
      return finishUpload(context, request, session, request.query.get('digest'));
    default:
      throw new RegistryRefusal(405, 'UNSUPPORTED', `${request.method} of an upload`);
  }
}

/** Whether the digest is now in the repository without an upload. */
function mounted(
  context: RegistryContext,
  repository: string,
  digest: string,
  from: string | null,
): boolean {
  const { mountProbe, mountFrom } = context.switches();
  const content =
    (mountProbe === 'honoured' ? context.store.blob(repository, digest) : undefined) ??
    (mountFrom === 'honoured' && from !== null ? context.store.blob(from, digest) : undefined);
  if (content === undefined) return false;
  context.store.putBlob(repository, content, digest);
  return true;
}

async function patchUpload(
  context: RegistryContext,
  request: RegistryRequest,
  session: UploadSession,
): Promise<Answer> {
  if (session.patches > 0 && context.dialect === 'artifact-registry') {
    throw new RegistryRefusal(
      400,
      'BLOB_UPLOAD_INVALID',
      'An upload must come in one piece: only one PATCH is allowed',
    );
  }
  const start = /^(?:bytes )?(\d+)-\d+/.exec(request.headers['content-range'] ?? '')?.[1];
  if (start !== undefined && Number(start) !== session.sizeBytes) {
    return accepted(context, request, session, 416);
  }
  session.countPatch();
  for await (const chunk of request.body) session.append(chunk);
  return accepted(context, request, session, 202);
}

/** OCI Distribution 1.1, "POST then PUT": the rest of the bytes and the digest of all of them. */
async function finishUpload(
  context: RegistryContext,
  request: RegistryRequest,
  session: UploadSession,
  digest: string | null,
): Promise<Answer> {
  if (digest === null || !isDigest(digest)) {
    throw new RegistryRefusal(400, 'DIGEST_INVALID', 'digest is no digest');
  }
  session.hashWith(algorithmOf(digest));
  for await (const chunk of request.body) session.append(chunk);
  const blob = session.finish(algorithmOf(digest));
  context.uploads.end(session.id);
  if (blob.digest !== digest) {
    throw new RegistryRefusal(400, 'DIGEST_INVALID', 'provided digest did not match the content', {
      detail: { digest, computed: blob.digest },
    });
  }
  context.store.putBlob(session.repository, blob.content, digest);
  if (context.dialect === 'artifact-registry') {
    return created(context, request, session.repository, digest);
  }
  // Docker's distribution files every blob by its sha256 too, and answers with that.
  context.store.putBlob(session.repository, blob.content, blob.canonical);
  context.store.setCanonical(digest, blob.canonical);
  return created(context, request, session.repository, blob.canonical);
}

function created(
  context: RegistryContext,
  request: RegistryRequest,
  repository: string,
  digest: string,
): Answer {
  return emptyAnswer(201, {
    location: `${request.origin}/v2/${repository}/blobs/${digest}`,
    ...(context.switches().contentDigest ? { 'docker-content-digest': digest } : {}),
  });
}

/** Where and from which byte the upload goes on. */
function accepted(
  context: RegistryContext,
  request: RegistryRequest,
  session: UploadSession,
  status: 202 | 416,
): Answer {
  const form = context.switches().uploadLocation;
  const origin = form === 'relative' ? '' : request.origin;
  const path =
    context.dialect === 'artifact-registry'
      ? uploadPath(session)
      : `/v2/${session.repository}/blobs/uploads/${session.id}`;
  const query = form === 'query' ? `?${stateOf(context, session)}` : '';
  return emptyAnswer(status, {
    location: `${origin}${path}${query}`,
    'docker-upload-uuid': session.id,
    // "0-0" of an empty upload is Docker's distribution's.
    range: `0-${Math.max(session.sizeBytes - 1, 0)}`,
  });
}

/** A signed state, encoded in a way that careless URL libraries rewrite. */
function stateOf(context: RegistryContext, session: UploadSession): string {
  const signature = context.tickets.signature(`${session.id}:${session.sizeBytes}`);
  return `_state=${signature}%20~(raw)*%7E%2b`;
}

function requireState(
  context: RegistryContext,
  request: RegistryRequest,
  session: UploadSession,
): void {
  if (context.switches().uploadLocation !== 'query') return;
  if (request.rawQuery.split('&').includes(stateOf(context, session))) return;
  throw new RegistryRefusal(400, 'BLOB_UPLOAD_INVALID', 'the upload state was changed');
}
