import { isMirrorError } from '../errors.ts';
import { asked, failure, type Answer, type OpenAnswer } from './failure.ts';
import type { Target } from './manifests.ts';
import { requireDigest } from '../oci/digest.ts';
import { redactUrl } from './redact.ts';
import type { RegistryRequest } from './request.ts';
import { requireNoPage } from './registry-form.ts';

/** What one HEAD tells of a blob. */
export interface BlobHead {
  /** Content-Length; undefined where the registry tells none. */
  readonly sizeBytes: number | undefined;
}

/**
 * Whether a blob is there (OCI Distribution 1.1, "Checking if content exists in the registry").
 * @param mayRetry as that of a request
 */
export async function headBlob(
  target: Target,
  digest: string,
  signal: AbortSignal,
  mayRetry?: RegistryRequest['mayRetry'],
): Promise<BlobHead | undefined> {
  const answer = await target.client.ask(
    {
      kind: 'blob',
      operation: 'head blob',
      method: 'HEAD',
      target: blobPath(target, digest),
      scope: target.scope,
      mayRetry,
    },
    signal,
  );
  if (answer.status === 404) return undefined;
  if (answer.status !== 200) throw failure(answer, asked(target, 'head blob'));
  requireNoPage(answer, asked(target, 'head blob'), true);
  const length = answer.header('content-length') ?? '';
  return { sizeBytes: /^\d{1,15}$/.test(length) ? Number(length) : undefined };
}

/**
 * Whether the question by HEAD is refused, which says nothing of the blob: by registries that know no such
 * question, and where they redirect it to a store whose signed URL is for a GET, or to where nobody may follow.
 */
export function isHeadRefused(error: unknown): boolean {
  if (isMirrorError(error, 'SERVER_ERROR')) return error.status === 501;
  return isMirrorError(
    error,
    'UNAUTHORIZED',
    'FORBIDDEN',
    'REQUEST_REFUSED',
    'REDIRECT_REFUSED',
    'INSECURE_REFUSED',
    'ADDRESS_REFUSED',
  );
}

/**
 * Opens a blob, or the rest of it from an offset (OCI Distribution 1.1, "Pulling blobs").
 * @param patienceMs as that of a request
 */
export function openBlob(
  target: Target,
  blob: { readonly digest: string; readonly sizeBytes: number },
  offsetBytes: number,
  signal: AbortSignal,
  patienceMs?: number,
): Promise<OpenAnswer | Answer> {
  return target.client.open(
    {
      kind: 'blob',
      operation: 'get blob',
      method: 'GET',
      target: blobPath(target, blob.digest),
      ...(offsetBytes > 0 && {
        headers: { range: `bytes=${offsetBytes}-${blob.sizeBytes - 1}` },
      }),
      scope: target.scope,
      patienceMs,
    },
    signal,
  );
}

/** Path of a blob; the digest is checked because it comes from a manifest. */
function blobPath(target: Target, digest: string): string {
  return `/v2/${target.path}/blobs/${requireDigest(digest)}`;
}

/** Where a blob is, for faults without an answer; redacted. */
export function blobUrl(target: Target, digest: string): string {
  return redactUrl(new URL(blobPath(target, digest), target.client.registry));
}
