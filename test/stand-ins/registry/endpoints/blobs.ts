import type { Content } from '../content.ts';
import { TICKET_LIFETIME_MS, type RegistryContext } from '../context.ts';
import { isDigest } from '../digest.ts';
import { emptyAnswer, type Answer, type RegistryRequest } from '../exchange.ts';
import { RegistryRefusal } from '../refusal.ts';

/** GET, HEAD and DELETE of `/v2/<name>/blobs/<digest>` (OCI Distribution 1.1, "Pulling blobs"). */
export function blobs(
  context: RegistryContext,
  request: RegistryRequest,
  repository: string,
  digest: string,
): Answer {
  if (!isDigest(digest)) throw new RegistryRefusal(400, 'DIGEST_INVALID', 'no digest');
  const content = context.store.blob(repository, digest);
  if (content === undefined) throw blobUnknown(digest);
  switch (request.method) {
    case 'GET':
      if (context.switches().blobRedirect !== 'none') {
        return redirect(context, request, repository, digest);
      }
      return blobAnswer(context, request, content, digest);
    case 'HEAD':
      return blobAnswer(context, request, content, digest);
    default:
      throw new RegistryRefusal(405, 'UNSUPPORTED', `${request.method} of a blob`);
  }
}

/** The bytes of a blob, or the part that `Range` asks for (RFC 9110, section 14). */
function blobAnswer(
  context: RegistryContext,
  request: RegistryRequest,
  content: Content,
  digest: string,
): Answer {
  const { range: manner, contentDigest } = context.switches();
  requireKept(request, content);
  const canonical = context.store.canonicalOf(digest);
  const headers = {
    'content-type': 'application/octet-stream',
    etag: `"${canonical}"`,
    ...(contentDigest ? { 'docker-content-digest': canonical } : {}),
    ...(manner === 'ignored' ? {} : { 'accept-ranges': 'bytes' }),
  };
  const asked = manner === 'ignored' ? undefined : request.headers.range;
  const range = asked === undefined ? undefined : byteRange(asked, content.sizeBytes);
  if (range === undefined) {
    return {
      status: 200,
      headers: { ...headers, 'content-length': String(content.sizeBytes) },
      body: content,
    };
  }
  if (range === 'unsatisfiable') {
    return emptyAnswer(416, {
      ...(contentDigest ? { 'docker-content-digest': canonical } : {}),
      'content-range': `bytes */${content.sizeBytes}`,
    });
  }
  const start = manner === 'wrong' ? Math.min(range.start + 1, range.end - 1) : range.start;
  return {
    status: 206,
    headers: {
      ...headers,
      'content-length': String(range.end - start),
      'content-range': `bytes ${start}-${range.end - 1}/${content.sizeBytes}`,
    },
    body: slice(content, start, range.end),
  };
}

/** The refusal for a blob that is not there. */
function blobUnknown(digest: string): RegistryRefusal {
  return new RegistryRefusal(404, 'BLOB_UNKNOWN', 'blob unknown to registry', { detail: digest });
}

function redirect(
  context: RegistryContext,
  request: RegistryRequest,
  repository: string,
  digest: string,
): Answer {
  const pool = context.store.poolOf(repository);
  const ticket = context.tickets.sign({
    pool,
    digest,
    expiresMs: context.clock() + TICKET_LIFETIME_MS,
  });
  const google = context.dialect === 'artifact-registry';
  const [project = '', name = ''] = repository.split('/');
  const path = google
    ? `/artifacts-downloads/namespaces/${project}/repositories/${name}/downloads/${ticket}`
    : `/blob-downloads/${ticket}`;
  const manner = context.switches().blobRedirect;
  const origin = manner === 'same-host' ? request.origin : context.downloadOrigin();
  const query =
    manner === 'signed-other-host'
      ? `?X-Amz-Expires=600&X-Amz-Signature=${context.tickets.signature(path)}`
      : '';
  return emptyAnswer(google ? 302 : 307, { location: `${origin}${path}${query}` });
}

function requireKept(request: RegistryRequest, content: Content): void {
  if (request.method === 'HEAD') return;
  try {
    content.read(0, 0);
  } catch {
    throw new RegistryRefusal(500, 'UNKNOWN', 'the bytes of this blob were not kept');
  }
}

/** One range of bytes; `undefined` for forms that a server may ignore (RFC 9110, section 14.2). */
function byteRange(
  header: string,
  sizeBytes: number,
): { readonly start: number; readonly end: number } | 'unsatisfiable' | undefined {
  const [, first = '', last = ''] = /^bytes=(\d*)-(\d*)$/.exec(header) ?? [];
  if (first === '' && last === '') return undefined;
  const start = first === '' ? Math.max(sizeBytes - Number(last), 0) : Number(first);
  const end = first === '' || last === '' ? sizeBytes : Math.min(Number(last) + 1, sizeBytes);
  if (start >= sizeBytes || start >= end) return 'unsatisfiable';
  return { start, end };
}

function slice(content: Content, start: number, end: number): Content {
  return {
    sizeBytes: end - start,
    read: (from, to) => content.read(start + from, Math.min(start + to, end)),
  };
}

/** The far end of a blob's redirect: the ticket in the path is all the permission it needs. */
export function downloads(context: RegistryContext, request: RegistryRequest): Answer {
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    throw new RegistryRefusal(405, 'UNSUPPORTED', `${request.method} of a download`);
  }
  if (context.switches().blobRedirect === 'signed-other-host') requireSigned(context, request);
  const ticket = context.tickets.read(request.path.split('/').at(-1) ?? '');
  if (ticket === undefined) throw new RegistryRefusal(403, 'DENIED', 'the address has expired');
  const content = context.store.blobOfPool(ticket.pool, ticket.digest);
  if (content === undefined) throw blobUnknown(ticket.digest);
  return blobAnswer(context, request, content, ticket.digest);
}

/** Storage services refuse a signed request that bears a second credential. */
function requireSigned(context: RegistryContext, request: RegistryRequest): void {
  if (request.headers.authorization !== undefined) {
    throw new RegistryRefusal(400, 'UNSUPPORTED', 'Only one auth mechanism allowed');
  }
  if (request.query.get('X-Amz-Signature') !== context.tickets.signature(request.path)) {
    throw new RegistryRefusal(403, 'DENIED', 'The request signature does not match');
  }
}
