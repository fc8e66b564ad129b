import { Fault, type FaultCode } from '../fault.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { isDigest, parseDigest, requireDigest } from '../oci/digest.ts';
import { parseErrorBody } from '../oci/error-body.ts';
import { failure, type Answer, type Asked } from './failure.ts';
import type { Target } from './manifests.ts';
import { redactUrl } from './redact.ts';
import { requireNoPage } from './registry-form.ts';
import { uploadLocation, type NextHop } from './redirect-policy.ts';
import type { StreamBody } from './stream-sender.ts';

/** How an upload begins. */
export interface UploadStart {
  /** Digest to mount; undefined: a plain upload. */
  readonly mount: string | undefined;
  /** Repository to mount from; undefined: the registry looks where it likes. */
  readonly from: string | undefined;
  /**
   * Host of that repository, where it is another of Google's registries, which understand it as crane sends
   * it (google/go-containerregistry#1388). One access token covers both.
   */
  readonly origin: string | undefined;
}

/** What the registry says to the beginning of an upload. */
export type UploadStarted =
  | { readonly kind: 'mounted' }
  | { readonly kind: 'session'; readonly location: NextHop }
  /** It refuses to be asked for a mount. */
  | { readonly kind: 'mount-refused'; readonly answer: Answer };

/** Statuses that refuse a mount where a plain upload may pass: Docker Hub 400, Harbor 401, others. */
const MOUNT_REFUSALS = new Set([400, 401, 403, 404, 405, 422, 501]);

/** Begins an upload (OCI Distribution 1.1, "Mounting a blob from another repository"): one POST. */
export async function startUpload(
  target: Target,
  start: UploadStart,
  signal: AbortSignal,
): Promise<UploadStarted> {
  const { client, path, scope } = target;
  const query = uploadQuery(start);
  const answer = await client.ask(
    {
      kind: 'upload',
      operation: 'start upload',
      method: 'POST',
      target: `/v2/${path}/blobs/uploads/${query}`,
      scope:
        start.from === undefined || start.from === path || start.origin !== undefined
          ? scope
          : { ...scope, mountFrom: start.from },
    },
    signal,
  );
  if (answer.status === 201 && start.mount !== undefined) return { kind: 'mounted' };
  if (answer.status === 202) {
    return { kind: 'session', location: uploadLocation(answer.url, answer.header('location')) };
  }
  if (start.mount !== undefined && MOUNT_REFUSALS.has(answer.status)) {
    return { kind: 'mount-refused', answer };
  }
  throw failure(answer, asked(target, 'start upload'));
}

function uploadQuery({ mount, from, origin }: UploadStart): string {
  if (mount === undefined) return '';
  const where = [
    ...(from === undefined ? [] : [`&from=${encodeURIComponent(from)}`]),
    ...(origin === undefined ? [] : [`&origin=${encodeURIComponent(origin)}`]),
  ];
  return `?mount=${requireDigest(mount)}${where.join('')}`;
}

/**
 * Whether a session's address is the registry's own API, to which its authorization belongs. Artifact
 * Registry's sessions lie outside `/v2/` and are capabilities: they need none, and Docker's clients send
 * none there.
 */
export function isApiAddress(url: URL): boolean {
  return url.pathname.startsWith('/v2/');
}

/**
 * Sends a blob in one PUT with its length (OCI Distribution 1.1, "POST then PUT").
 * @throws Fault `DIGEST_MISMATCH`, `SIZE_MISMATCH` where the registry found another blob in the bytes,
 *   `SERVER_ERROR` where it lost the session, `RESPONSE_INVALID` for a page, and those of the way
 */
export async function finishUpload(
  target: Target,
  blob: Descriptor,
  location: NextHop,
  body: StreamBody | Buffer,
  signal: AbortSignal,
): Promise<void> {
  const answer = await target.client.ask(
    {
      kind: 'upload',
      operation: 'put blob',
      method: 'PUT',
      target: withDigest(location.url, blob.digest),
      rawPath:
        location.rawPath === undefined ? undefined : appendDigest(location.rawPath, blob.digest),
      headers: { 'content-type': 'application/octet-stream' },
      body,
      scope: location.authorize ? target.scope : undefined,
    },
    signal,
  );
  if (answer.status !== 201 && answer.status !== 204 && answer.status !== 200) {
    throw failure(answer, asked(target, 'put blob'), refusalCode(answer));
  }
  requireNoPage(answer, asked(target, 'put blob'));
  const announced = answer.header('docker-content-digest');
  const comparable =
    announced !== undefined &&
    isDigest(announced) &&
    parseDigest(announced).algorithm === parseDigest(blob.digest).algorithm;
  // guard: put-blob-digest
  if (comparable && announced !== blob.digest)
    throw new Fault('DIGEST_MISMATCH', 'the registry stored another digest', {
      operation: 'put blob',
      side: target.client.side,
      url: redactUrl(answer.url),
    });
}

/**
 * Appends `digest` to the text of a session's URL: to take its query apart and write it anew would
 * break sessions that are signed.
 */
export function withDigest(location: URL, digest: string): URL {
  const { href } = location;
  const fragment = href.indexOf('#');
  const bare = fragment === -1 ? href : href.slice(0, fragment);
  return new URL(appendDigest(bare, digest));
}

function appendDigest(text: string, digest: string): string {
  return `${text}${text.includes('?') ? '&' : '?'}digest=${requireDigest(digest)}`;
}

function refusalCode(answer: Answer): FaultCode | undefined {
  const { codes } = parseErrorBody(answer.body);
  if (codes.includes('DIGEST_INVALID')) return 'DIGEST_MISMATCH';
  if (codes.includes('SIZE_INVALID')) return 'SIZE_MISMATCH';
  // The session is gone or in another state: a new one helps.
  const lost = answer.status === 404 || answer.status === 416 || answer.status === 409;
  return lost || codes.includes('BLOB_UPLOAD_UNKNOWN') ? 'SERVER_ERROR' : undefined;
}

function asked(target: Target, operation: string): Asked {
  return { operation, side: target.client.side };
}
