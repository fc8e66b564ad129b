import { uploadPath } from '../artifact-registry/images.ts';
import type { Call } from '../call.ts';
import { algorithmOf, isDigest } from '../digest.ts';
import { emptyAnswer, type Answer } from '../exchange.ts';
import { RegistryRefusal } from '../refusal.ts';
import { UploadSession } from '../upload-session.ts';

/** `POST /v2/<name>/blobs/uploads/` (OCI Distribution 1.1, "Pushing blobs", "Mounting a blob", "Single POST"). */
export async function beginUpload(call: Call, repository: string): Promise<Answer> {
  const { request, switches } = call;
  if (request.method !== 'POST') {
    throw new RegistryRefusal(405, 'UNSUPPORTED', `${request.method} of uploads`);
  }
  const mount = request.query.get('mount');
  // What is no digest is no mount.
  if (mount !== null && isDigest(mount)) {
    // Another registry's repository is none of this one's.
    const from = request.query.has('origin') ? null : request.query.get('from');
    if (mounted(call, repository, mount, from)) return created(call, repository, mount);
  }
  const session = new UploadSession(repository, call.keepsBlobs);
  call.uploads.set(session.id, session);
  const digest = request.query.get('digest');
  if (digest !== null && switches.singlePost === 'honoured') {
    return finishUpload(call, session, digest);
  }
  // The bytes of a single POST are dropped, as Docker's distribution does.
  return accepted(call, session, 202);
}

/** PATCH and PUT of an upload's address. */
export async function continueUpload(
  call: Call,
  place: { readonly id: string; readonly pool: string },
): Promise<Answer> {
  const { method, query } = call.request;
  const session = call.uploads.get(place.id);
  if (session === undefined || call.store.poolOf(session.repository) !== place.pool) {
    throw new RegistryRefusal(404, 'BLOB_UPLOAD_UNKNOWN', 'blob upload unknown to registry');
  }
  requireState(call, session);
  switch (method) {
    case 'PATCH':
      return patchUpload(call, session);
    case 'PUT':
      return finishUpload(call, session, query.get('digest'));
    default:
      throw new RegistryRefusal(405, 'UNSUPPORTED', `${method} of an upload`);
  }
}

/** Whether the digest is now in the repository without an upload. */
function mounted(
  { store, switches: { mountProbe, mountFrom } }: Call,
  repository: string,
  digest: string,
  from: string | null,
): boolean {
  const content =
    (mountProbe === 'honoured' ? store.blob(repository, digest) : undefined) ??
    (mountFrom === 'honoured' && from !== null ? store.blob(from, digest) : undefined);
  if (content === undefined) return false;
  store.putBlob(repository, content, digest);
  return true;
}

async function patchUpload(call: Call, session: UploadSession): Promise<Answer> {
  const { headers, body } = call.request;
  if (session.patches > 0 && call.dialect === 'artifact-registry') {
    throw new RegistryRefusal(
      400,
      'BLOB_UPLOAD_INVALID',
      'An upload must come in one piece: only one PATCH is allowed',
    );
  }
  const start = /^(?:bytes )?(\d+)-\d+/.exec(headers['content-range'] ?? '')?.[1];
  if (start !== undefined && Number(start) !== session.sizeBytes) {
    return accepted(call, session, 416);
  }
  session.patches++;
  for await (const chunk of body) session.append(chunk);
  return accepted(call, session, 202);
}

/** OCI Distribution 1.1, "POST then PUT": the rest of the bytes and the digest of all of them. */
async function finishUpload(
  call: Call,
  session: UploadSession,
  digest: string | null,
): Promise<Answer> {
  if (digest === null || !isDigest(digest)) {
    throw new RegistryRefusal(400, 'DIGEST_INVALID', 'digest is no digest');
  }
  session.hashWith(algorithmOf(digest));
  for await (const chunk of call.request.body) session.append(chunk);
  const blob = session.finish(algorithmOf(digest));
  call.uploads.delete(session.id);
  if (blob.digest !== digest) {
    throw new RegistryRefusal(400, 'DIGEST_INVALID', 'provided digest did not match the content', {
      detail: { digest, computed: blob.digest },
    });
  }
  const { dialect, store } = call;
  const { repository } = session;
  store.putBlob(repository, blob.content, digest);
  if (dialect === 'artifact-registry') return created(call, repository, digest);
  // Docker's distribution files every blob by its sha256 too, and answers with that.
  store.putBlob(repository, blob.content, blob.canonical);
  store.setCanonical(digest, blob.canonical);
  return created(call, repository, blob.canonical);
}

function created({ request, switches }: Call, repository: string, digest: string): Answer {
  return emptyAnswer(201, {
    location: `${request.origin}/v2/${repository}/blobs/${digest}`,
    ...(switches.contentDigest ? { 'docker-content-digest': digest } : {}),
  });
}

/** Where and from which byte the upload goes on. */
function accepted(call: Call, session: UploadSession, status: 202 | 416): Answer {
  const form = call.switches.uploadLocation;
  const origin = form === 'relative' ? '' : call.request.origin;
  const path =
    call.dialect === 'artifact-registry'
      ? uploadPath(session)
      : `/v2/${session.repository}/blobs/uploads/${session.id}`;
  const query = form === 'query' ? `?${stateOf(call, session)}` : '';
  return emptyAnswer(status, {
    location: `${origin}${path}${query}`,
    'docker-upload-uuid': session.id,
    // "0-0" of an empty upload is Docker's distribution's.
    range: `0-${Math.max(session.sizeBytes - 1, 0)}`,
  });
}

/** A signed state, encoded in a way that careless URL libraries rewrite. */
function stateOf({ tickets }: Call, session: UploadSession): string {
  const signature = tickets.signature(`${session.id}:${session.sizeBytes}`);
  return `_state=${signature}%20~(raw)*%7E%2b`;
}

function requireState(call: Call, session: UploadSession): void {
  if (call.switches.uploadLocation !== 'query') return;
  if (call.request.rawQuery.split('&').includes(stateOf(call, session))) return;
  throw new RegistryRefusal(400, 'BLOB_UPLOAD_INVALID', 'the upload state was changed');
}
