import { MirrorError, isMirrorError, type ErrorCode } from '../errors.ts';
import type { ManifestBytes, ManifestHead, PutAnswer } from '../mirror/ports.ts';
import { digestOf, isDigest, parseDigest } from '../oci/digest.ts';
import { parseErrorBody } from '../oci/error-body.ts';
import {
  manifestDigest,
  mayHaveDigest,
  MAX_MANIFEST_BYTES,
  parseManifest,
  type Manifest,
} from '../oci/manifest.ts';
import { essence, MANIFEST_ACCEPT, manifestKind } from '../oci/media-types.ts';
import { requireReference } from '../oci/reference.ts';
import { isRegistryWord, rememberForm, requireAbsence } from './absence.ts';
import { asked, failure, isRefusal, judged, type Answer } from './failure.ts';
import {
  announcedDigest,
  announcesOther,
  isBarePage,
  isPage,
  requireNoPage,
} from './registry-form.ts';
import type { Target } from './repository.ts';

export type { Target } from './repository.ts';

/** What one question for a tag or digest came to. */
interface Found {
  readonly head: ManifestHead | undefined;
  readonly answer: Answer;
}

/**
 * Digest of a tag, or presence of a digest (OCI Distribution 1.1, "Checking if content exists in
 * the registry"). Where the answer announces no digest, is a refusal, or denies what a list has, the
 * manifest is read and hashed; a host whose HEAD proved useless is asked by GET from then on.
 * @param isListed the registry's own list has it, which a 404 contradicts, or a tag that is there would be
 *   overwritten where a 404 is believed: it is, where HEAD is known to work in this repository
 * @returns undefined where it is not there
 */
export async function headManifest(
  target: Target,
  reference: string,
  signal: AbortSignal,
  isListed = false,
): Promise<Found> {
  const { memory } = target;
  // Others may have learnt it meanwhile.
  const isKnown = (): boolean => memory.headWorks.has(target.path);
  if (memory.headUseless && !isKnown()) return readHead(target, reference, signal);
  let answer: Answer;
  try {
    answer = await askHead(target, reference, signal);
  } catch (error) {
    return readDespite(error, target, reference, signal);
  }
  const head = answer.status === 200 ? headOf(answer, reference) : undefined;
  if (head !== undefined) {
    memory.headWorks.set(target.path, true);
    return { head, answer };
  }
  const mayDeny = !isListed || isKnown();
  if (answer.status === 404 && mayDeny && isRegistryWord('HEAD', answer, memory)) {
    return { head: undefined, answer };
  }
  // A page in place of either says nothing of what a HEAD is worth.
  const read = await readHead(target, reference, signal);
  if (read.head === undefined) {
    if (answer.status === 404) rememberForm('HEAD', answer, memory);
  } else if (!isKnown() && answer.status !== 401) memory.headUseless = true;
  return read;
}

/** One HEAD, of which 200 and refusals are for the caller to judge. */
async function askHead(target: Target, reference: string, signal: AbortSignal): Promise<Answer> {
  const answer = await ask(target, 'HEAD', 'head manifest', reference, signal);
  if (answer.status === 200 || isRefusal(answer.status)) return answer;
  throw failure(answer, asked(target, 'head manifest'));
}

/** What a HEAD tells; undefined where it tells no digest, or another one than was asked for. */
function headOf(answer: Answer, reference: string): ManifestHead | undefined {
  const digest = announcedDigest(answer);
  if (digest === undefined) return undefined;
  if (isDigest(reference) && announcesOther(answer, reference)) return undefined;
  const mediaType = essence(answer.header('content-type'));
  const length = answer.header('content-length');
  return {
    digest,
    mediaType: manifestKind(mediaType) === undefined ? undefined : mediaType,
    sizeBytes: length === undefined || !/^\d{1,15}$/.test(length) ? undefined : Number(length),
  };
}

/**
 * A registry may break at each HEAD, and not be down. That an outage did not just end in between is told by one
 * HEAD more: a GET in place of each of them would cost a pull (Docker Hub). Where HEADs work, it breaks at this one alone.
 * @throws MirrorError the HEAD's, unless it is a server error that asks for no pause
 */
async function readDespite(
  error: unknown,
  target: Target,
  reference: string,
  signal: AbortSignal,
): Promise<Found> {
  if (!isMirrorError(error, 'SERVER_ERROR') || error.retryAfterMs !== undefined) throw error;
  const { memory } = target;
  const read = await readHead(target, reference, signal);
  if (read.head === undefined || memory.headWorks.has(target.path)) return read;
  const isDown = await askHead(target, reference, signal).then(
    () => false,
    (fault: unknown) => isMirrorError(fault, 'SERVER_ERROR'),
  );
  if (isDown && !memory.headWorks.has(target.path)) memory.headUseless = true;
  return read;
}

async function readHead(target: Target, reference: string, signal: AbortSignal): Promise<Found> {
  const { manifest, answer } = await getManifest(target, reference, signal);
  if (manifest === undefined) return { head: undefined, answer };
  const { digest, mediaType, bytes } = manifest;
  return { head: { digest, mediaType, sizeBytes: bytes.length }, answer };
}

/**
 * Reads a manifest (OCI Distribution 1.1, "Pulling manifests"). The digest is computed over the
 * bytes; the digest that was asked for, or of a tag the one that is announced, must be it.
 * @returns undefined where it is not there
 * @throws MirrorError `DIGEST_MISMATCH`, `RESPONSE_INVALID` where nobody but a proxy answers (404, a page of 403), `MANIFEST_TOO_LARGE`, and those of {@link parseManifest}
 */
export async function getManifest(
  target: Target,
  reference: string,
  signal: AbortSignal,
): Promise<{ readonly manifest: ManifestBytes | undefined; readonly answer: Answer }> {
  let answer: Answer;
  try {
    answer = await ask(target, 'GET', 'get manifest', reference, signal);
  } catch (error) {
    throw isMirrorError(error, 'RESPONSE_TOO_LARGE') ? tooLarge(error) : error;
  }
  if (answer.status === 404) {
    const again = (): Promise<Answer> => ask(target, 'GET', 'get manifest', reference, signal);
    await requireAbsence(target, answer, asked(target, 'get manifest'), again, signal);
    return { manifest: undefined, answer };
  }
  if (answer.status !== 200) {
    // A 403 may be believed for absence: the registry says it, no firewall or proxy before it.
    const isAnyones = answer.status === 403 && isBarePage(answer);
    throw failure(
      answer,
      asked(target, 'get manifest'),
      isAnyones ? 'RESPONSE_INVALID' : undefined,
    );
  }
  try {
    const manifest = judged(answer, asked(target, 'get manifest'), () =>
      readManifest(target, reference, answer),
    );
    return { manifest, answer };
  } catch (error) {
    if (isDigest(reference) || !isMirrorError(error, 'DIGEST_MISMATCH')) throw error;
    const manifest = await confirm(target, answer, signal);
    if (manifest === undefined) throw error;
    return { manifest, answer };
  }
}

/**
 * Bytes under a tag whose announced digest is another: a broken transfer, a cache whose body lags behind its
 * header, or a registry that announces wrongly. Where it has the very same bytes under their own digest, and
 * none under the announced one, that proves them, and what it announces is not believed any more. Undefined:
 * it has not, or has both, and the tag may be either.
 */
async function confirm(
  target: Target,
  answer: Answer,
  signal: AbortSignal,
): Promise<ManifestBytes | undefined> {
  const { body, header } = answer;
  const digest = digestOf(body);
  const announced = announcedDigest(answer) ?? '';
  const other = await ask(target, 'GET', 'get manifest', announced, signal);
  // guard: announced-digest
  if (other.status === 200 && mayHaveDigest(other.body, announced)) return undefined;
  const again = await ask(target, 'GET', 'get manifest', digest, signal);
  if (again.status !== 200 || !again.body.equals(body)) return undefined;
  target.memory.headUseless = true;
  target.memory.headWorks.delete(target.path);
  const { mediaType } = judged(answer, asked(target, 'get manifest'), () =>
    parseManifest(body, header('content-type')),
  );
  return { mediaType, digest, bytes: body };
}

/**
 * Pushes a manifest (OCI Distribution 1.1, "Pushing Manifests").
 * @throws MirrorError `DESTINATION_INCOMPLETE`, `TAG_IMMUTABLE`, `MANIFEST_REFUSED`, `DIGEST_MISMATCH`,
 *   `RESPONSE_INVALID` for a page, and those of the status where the manifest was not judged
 */
export async function putManifest(
  target: Target,
  reference: string,
  manifest: ManifestBytes,
  signal: AbortSignal,
  mayStart?: () => boolean,
): Promise<PutAnswer> {
  const answer = await target.client.ask(
    {
      kind: 'manifest',
      operation: 'put manifest',
      method: 'PUT',
      target: manifestPath(target, reference),
      headers: { 'content-type': manifest.mediaType },
      body: manifest.bytes,
      scope: target.scope,
      mayStart,
    },
    signal,
  );
  if (answer.status !== 201 && answer.status !== 200 && answer.status !== 202) {
    throw failure(answer, asked(target, 'put manifest'), refusalCode(answer, reference));
  }
  requireNoPage(answer, asked(target, 'put manifest'));
  // guard: put-manifest-digest
  if (announcesOther(answer, manifest.digest))
    throw failure(answer, asked(target, 'put manifest'), 'DIGEST_MISMATCH');
  return {
    digest: manifest.digest,
    subjectAcknowledged: answer.header('oci-subject') !== undefined,
  };
}

function ask(
  target: Target,
  method: 'GET' | 'HEAD',
  operation: string,
  reference: string,
  signal: AbortSignal,
): Promise<Answer> {
  return target.client.ask(
    {
      kind: 'manifest',
      operation,
      method,
      target: manifestPath(target, reference),
      headers: { accept: MANIFEST_ACCEPT },
      scope: target.scope,
      maxBytes: MAX_MANIFEST_BYTES,
      onAnswer: target.onManifestAnswer,
    },
    signal,
  );
}

/** A tag is another party's text: only what the grammar allows comes into a URL. */
function manifestPath(target: Target, reference: string): string {
  return `/v2/${target.path}/manifests/${requireReference(reference)}`;
}

/** The digest comes first: bytes that have it are the manifest, others are a broken transfer, whatever they are. */
function readManifest(target: Target, reference: string, answer: Answer): ManifestBytes {
  const { body: bytes } = answer;
  const wanted = isDigest(reference) ? reference : undefined;
  // Beside a digest that was asked for, what is announced says nothing more.
  const announced = wanted === undefined ? announcedDigest(answer) : undefined;
  // guard: manifest-digest
  if (wanted !== undefined && !mayHaveDigest(bytes, wanted))
    throw failure(answer, asked(target, 'get manifest'), 'DIGEST_MISMATCH');
  // guard: announced-digest
  if (announced !== undefined && !mayHaveDigest(bytes, announced))
    throw failure(answer, asked(target, 'get manifest'), 'DIGEST_MISMATCH');
  const { mediaType } = parseAnswer(target, answer, (wanted ?? announced) !== undefined);
  const digestIn = (digest: string): string =>
    manifestDigest(bytes, mediaType, parseDigest(digest).algorithm);
  // guard: manifest-digest
  if (wanted !== undefined && digestIn(wanted) !== wanted)
    throw failure(answer, asked(target, 'get manifest'), 'DIGEST_MISMATCH');
  // guard: announced-digest
  if (announced !== undefined && digestIn(announced) !== announced)
    throw failure(answer, asked(target, 'get manifest'), 'DIGEST_MISMATCH');
  return { mediaType, digest: wanted ?? manifestDigest(bytes, mediaType), bytes };
}

/**
 * Reads the document. Where no digest proves the bytes, what is no manifest at all (the page of a
 * proxy, an error document under 200) says nothing of the image.
 * @throws MirrorError `RESPONSE_INVALID`, and those of {@link parseManifest}
 */
function parseAnswer(target: Target, answer: Answer, isProven: boolean): Manifest {
  try {
    return parseManifest(answer.body, answer.header('content-type'));
  } catch (error) {
    const unread = isMirrorError(error, 'MANIFEST_INVALID', 'MANIFEST_UNSUPPORTED');
    if (isProven || !unread || looksLikeManifest(answer.body)) throw error;
    throw failure(answer, asked(target, 'get manifest'), 'RESPONSE_INVALID');
  }
}

/** Every manifest says which schema it has, or which type it is of. */
function looksLikeManifest(body: Buffer): boolean {
  try {
    const document = JSON.parse(body.toString('utf8')) as Readonly<Record<string, unknown>> | null;
    return document?.['schemaVersion'] !== undefined || document?.['mediaType'] !== undefined;
  } catch {
    return false;
  }
}

/** Codes that say that something the manifest names is missing. */
const INCOMPLETE = new Set(['MANIFEST_BLOB_UNKNOWN', 'BLOB_UNKNOWN', 'MANIFEST_UNKNOWN']);
/** How registries say that a tag may not be moved; OCI has no code for it, ACR and Nexus say it thus. */
const IMMUTABLE =
  /immutab|already exists|cannot be (?:overwritten|moved|updated|modified)|does not allow (?:updating|redeploy)|operation is disallowed/i;
const IMMUTABLE_STATUSES = new Set([400, 403, 405, 409, 412]);

/** Statuses of a registry that judges what was sent, where it says so in its form; others, and pages, pass. */
const VERDICT_STATUSES = new Set([400, 413, 415, 422]);
/** Codes that judge the manifest, or its tag; all others are about who asks, how often or where. */
const VERDICTS = new Set([
  'MANIFEST_INVALID',
  'MANIFEST_UNVERIFIED',
  'UNSUPPORTED',
  'SIZE_INVALID',
  'TAG_INVALID',
]);

/** What a refused manifest means; undefined: what its status says. */
function refusalCode(answer: Answer, reference: string): ErrorCode | undefined {
  const { codes, message } = parseErrorBody(answer.body);
  if (codes.some((code) => INCOMPLETE.has(code))) return 'DESTINATION_INCOMPLETE';
  const immutable = !isDigest(reference) && IMMUTABLE_STATUSES.has(answer.status);
  if (immutable && IMMUTABLE.test(message)) return 'TAG_IMMUTABLE';
  // What is there already is in the way, whoever asks.
  if (answer.status === 409) return 'REQUEST_REFUSED';
  const isVerdict = VERDICT_STATUSES.has(answer.status) && !isPage(answer);
  // 422 alone says that the content was read and judged.
  const judges = (code: string): boolean =>
    VERDICTS.has(code) || (answer.status === 422 && code === 'UNKNOWN');
  return isVerdict && codes.some(judges) ? 'MANIFEST_REFUSED' : undefined;
}

function tooLarge(fault: MirrorError): MirrorError {
  return new MirrorError('MANIFEST_TOO_LARGE', fault.message, {
    operation: 'get manifest',
    side: fault.side,
    url: fault.url,
  });
}
