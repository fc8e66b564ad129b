import type { Content } from '../content.ts';
import type { Call } from '../call.ts';
import { isDigest } from '../digest.ts';
import { emptyAnswer, type Answer, type RegistryRequest } from '../exchange.ts';
import { RegistryRefusal, requireReading } from '../refusal.ts';

/** Life of a ticket: storage services sign addresses for minutes. */
const TICKET_LIFETIME_MS = 10 * 60_000;

/** GET and HEAD of `/v2/<name>/blobs/<digest>` (OCI Distribution 1.1, "Pulling blobs"). */
export function blobs(call: Call, repository: string, digest: string): Answer {
  const { request, store, switches } = call;
  if (!isDigest(digest)) throw new RegistryRefusal(400, 'DIGEST_INVALID', 'no digest');
  const content = store.blob(repository, digest);
  if (content === undefined) throw blobUnknown(digest);
  requireReading(request, 'blob');
  return request.method === 'GET' && switches.blobRedirect !== 'none'
    ? redirect(call, repository, digest)
    : blobAnswer(call, content, digest);
}

/** The bytes of a blob, or the part that `Range` asks for (RFC 9110, section 14). */
function blobAnswer({ request, store, switches }: Call, content: Content, digest: string): Answer {
  const { range: manner, contentDigest } = switches;
  requireKept(request, content);
  const canonical = store.canonicalOf(digest);
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

function redirect(call: Call, repository: string, digest: string): Answer {
  const { request, store, tickets, switches } = call;
  const ticket = tickets.sign({
    pool: store.poolOf(repository),
    digest,
    expiresMs: call.clock() + TICKET_LIFETIME_MS,
  });
  const google = call.dialect === 'artifact-registry';
  const [project = '', name = ''] = repository.split('/');
  const path = google
    ? `/artifacts-downloads/namespaces/${project}/repositories/${name}/downloads/${ticket}`
    : `/blob-downloads/${ticket}`;
  const manner = switches.blobRedirect;
  const origin = manner === 'same-host' ? request.origin : call.downloadOrigin;
  const query =
    manner === 'signed-other-host'
      ? `?X-Amz-Expires=600&X-Amz-Signature=${tickets.signature(path)}`
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
export function downloads(call: Call): Answer {
  const { request, store, tickets, switches } = call;
  requireReading(request, 'download');
  if (switches.blobRedirect === 'signed-other-host') requireSigned(call);
  const ticket = tickets.read(request.path.split('/').at(-1) ?? '');
  if (ticket === undefined) throw new RegistryRefusal(403, 'DENIED', 'the address has expired');
  const content = store.blobOfPool(ticket.pool, ticket.digest);
  if (content === undefined) throw blobUnknown(ticket.digest);
  return blobAnswer(call, content, ticket.digest);
}

/** Storage services refuse a signed request that bears a second credential. */
function requireSigned({ request, tickets }: Call): void {
  if (request.headers.authorization !== undefined) {
    throw new RegistryRefusal(400, 'UNSUPPORTED', 'Only one auth mechanism allowed');
  }
  if (request.query.get('X-Amz-Signature') !== tickets.signature(request.path)) {
    throw new RegistryRefusal(403, 'DENIED', 'The request signature does not match');
  }
}
