import { once } from 'node:events';
import { Readable } from 'node:stream';

import { MirrorError, isMirrorError, type ErrorCode } from '../errors.ts';
import type { BlobArrival, MountSource, OpenBlob, UploadOptions } from '../mirror/ports.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { hasDigest, requireDigest } from '../oci/digest.ts';
import { parseErrorBody } from '../oci/error-body.ts';
import type { StreamBody } from './blob-stream.ts';
import { blobUrl, headBlob, isHeadRefused } from './blobs.ts';
import { asked, failure, isRefusal, judged, type Answer } from './failure.ts';
import type { HostCapabilities } from './host-capabilities.ts';
import type { Target } from './manifests.ts';
import type { RegistryRequest } from './request.ts';
import { redactUrl } from './redact.ts';
import { announcesOther, requireNoPage } from './registry-form.ts';
import { uploadLocation, type NextHop } from './redirect-policy.ts';
import { wasSentInFull } from './sent-in-full.ts';
import { sleep, type Timing } from '../concurrency.ts';

/** What an upload needs to know of its repository. */
export interface UploadParts {
  readonly target: Target;
  readonly memory: HostCapabilities;
  readonly timing: Timing;
  /** One of Google's registries. */
  readonly google: boolean;
}

/** From this size on, a HEAD is cheaper than to send a blob that may be there. */
const HEAD_FROM_BYTES = 4 * 1024 * 1024;

/** Who says nothing for so long after the last byte is busy with the blob, and not gone. */
const SLOW_COMMIT_MS = 10_000;
/** How long such a blob is looked for: object stores were seen to take a minute and more. */
const COMMIT_PATIENCE_MS = 5 * 60_000;
/** Pauses between looks: from a second, doubled, to half a minute. */
const LOOK_MS = 1_000;
const MAX_LOOK_MS = 30_000;

/** After a mount that failed, blobs are sent for so long: longer than a delivery, which pays for one try. */
const MOUNT_AGAIN_MS = 10 * 60_000;

/** Under which it is remembered that a host is not asked for mounts, of a repository from itself or from others. */
function ofHost(other: MountSource | undefined): string {
  return other === undefined ? 'itself' : `others ${other.origin ?? ''}`;
}

/** Largest blob that goes in the POST itself. It is in memory meanwhile: 8 of them in a process. */
const SINGLE_POST_BYTES = 64 * 1024;

/** Faults of a POST with a blob, of a mount, and of a HEAD, that a plain POST and a PUT need not meet. */
const MAY_PASS_PLAINLY = [
  ...(['SERVER_ERROR', 'TIMEOUT', 'NETWORK', 'DIGEST_MISMATCH', 'RESPONSE_INVALID'] as const),
  ...(['REDIRECT_REFUSED', 'INSECURE_REFUSED', 'ADDRESS_REFUSED'] as const),
] satisfies readonly ErrorCode[];

/**
 * Silence is waited for once, on a kept connection once more, where there is another way: the plain upload tells
 * whether it is the host's.
 */
function isNoSilence({ code }: MirrorError): boolean {
  return code !== 'TIMEOUT';
}

const BLOB_HEADERS = { 'content-type': 'application/octet-stream' } as const;

/**
 * Makes one blob be there, with as few requests as its host allows: a mount, or an upload of the bytes that
 * `open` gives once they are wanted.
 * @throws MirrorError of the requests, and of `open`
 */
export async function uploadBlob(
  parts: UploadParts,
  blob: Descriptor,
  open: OpenBlob,
  options: UploadOptions,
  signal: AbortSignal,
): Promise<BlobArrival> {
  return new BlobUpload(parts, blob, options, signal).run(open);
}

class BlobUpload {
  readonly #parts: UploadParts;
  readonly #blob: Descriptor;
  readonly #options: UploadOptions;
  readonly #signal: AbortSignal;

  constructor(parts: UploadParts, blob: Descriptor, options: UploadOptions, signal: AbortSignal) {
    this.#parts = parts;
    this.#blob = blob;
    this.#options = options;
    this.#signal = signal;
  }

  async run(open: OpenBlob): Promise<BlobArrival> {
    if (this.#blob.sizeBytes === 0) requireEmpty(this.#parts.target, this.#blob.digest);
    const mayMount = this.#mayMount();
    if (!mayMount && this.#mayPostWhole()) {
      await this.#withStream(open, async (stream) => this.#postWhole(stream));
      return 'uploaded';
    }
    const begun = mayMount ? await this.#mount() : await this.#begin();
    if (typeof begun === 'string') return begun;
    await this.#send(begun, open);
    return 'uploaded';
  }

  /**
   * Where a mount is asked for, its session takes the bytes; what is sent again, since the registry lost it, goes
   * the way that all of them know.
   */
  #mayPostWhole(): boolean {
    const { sizeBytes } = this.#blob;
    const isSmall = sizeBytes > 0 && sizeBytes <= SINGLE_POST_BYTES;
    return isSmall && this.#options.force !== true && !this.#parts.memory.singlePostRefused;
  }

  #mayMount(): boolean {
    const { memory } = this.#parts;
    if (this.#options.force === true) return false;
    const other = this.#otherSource();
    const keys = [ofHost(other), this.#pair(other)];
    const nowMs = this.#parts.timing.now();
    return keys.every((key) => (memory.noMountsUntilMs.get(key) ?? 0) <= nowMs);
  }

  /** Where to mount from; undefined: nowhere else than the repository itself. */
  #otherSource(): MountSource | undefined {
    const { mountFrom } = this.#options;
    const itself = mountFrom?.origin === undefined && mountFrom?.path === this.#parts.target.path;
    return itself ? undefined : mountFrom;
  }

  #pair(from: MountSource | undefined): string {
    const { path: own } = this.#parts.target;
    return `${from?.origin ?? ''} ${from?.path ?? own} ${own}`;
  }

  /**
   * Asks for a mount. Where that is refused, or fails though a plain upload begins, the pair of repositories is
   * asked plainly from then on, and after silence the host, also for blobs whose turn to ask has not come.
   */
  async #mount(): Promise<BlobArrival | NextHop> {
    const { target, memory, google } = this.#parts;
    const other = this.#otherSource();
    // Google looks without `from`; others want one, and their own repository makes it a probe.
    const from = other?.path ?? (google ? undefined : target.path);
    const mount = { digest: this.#blob.digest, from, other };
    const started = await startMount(target, mount, this.#signal, {
      mayStart: () => this.#mayMount(),
      mayRetry: isNoSilence,
    }).catch((error: unknown) => {
      if (this.#signal.aborted) throw error;
      // Another blob's was refused or failed before this one's turn came.
      if (isMirrorError(error, 'ABORTED')) return { kind: 'mount-left' } as const;
      // A realm may refuse the right to read where the blob is mounted from.
      if (other !== undefined && isMirrorError(error, 'UNAUTHORIZED', 'FORBIDDEN'))
        return { kind: 'mount-denied' } as const;
      // A registry that was not made for it may fail at it, and not be down.
      if (isMirrorError(error, 'TIMEOUT')) return { kind: 'mount-silent' } as const;
      if (isMirrorError(error, ...MAY_PASS_PLAINLY)) return { kind: 'mount-failed' } as const;
      throw error;
    });
    if (started.kind === 'mounted') {
      if (other !== undefined) return 'mounted';
      memory.mountProven = true;
      return 'present';
    }
    if (started.kind === 'session') {
      // That another repository does not have it says nothing of this one.
      const tells = other === undefined && memory.mountProven;
      return !tells && (await this.#isThere()) ? 'present' : started.location;
    }
    return started.kind === 'mount-left' ? this.#begin() : this.#beginWithout(started.kind, other);
  }

  /**
   * Begins plainly after a mount that was not to be had. At once the pair is not asked any more, and after silence
   * the host: those whose turn to ask comes next would meet the same. It is taken back where the plain upload does
   * not begin either; silence, where that is not answered. What is for good, and of the host, is known once it began.
   */
  async #beginWithout(
    why: 'mount-refused' | 'mount-denied' | 'mount-failed' | 'mount-silent',
    other: MountSource | undefined,
  ): Promise<NextHop | 'present'> {
    const { memory, timing } = this.#parts;
    const isSilence = why === 'mount-silent';
    const key = isSilence ? ofHost(other) : this.#pair(other);
    const againAtMs = timing.now() + MOUNT_AGAIN_MS;
    memory.noMountsUntilMs.set(key, againAtMs);
    let begun: NextHop | 'present';
    try {
      begun = await this.#begin();
    } catch (error) {
      const stands = isSilence && !isMirrorError(error, 'TIMEOUT', 'NETWORK');
      if (!stands) memory.noMountsUntilMs.delete(key);
      throw error;
    }
    // A blob that is there says nothing of the right to push.
    if (isSilence || (why === 'mount-denied' && begun === 'present')) return begun;
    const isOfHost = other === undefined && why !== 'mount-denied';
    const untilMs = why === 'mount-failed' ? againAtMs : Infinity;
    memory.noMountsUntilMs.set(isOfHost ? ofHost(other) : key, untilMs);
    return begun;
  }

  /**
   * Where no mount tells it, a large blob is worth a HEAD. That it is refused or fails does not keep the blob away:
   * the upload tells whether the host is down.
   */
  async #isThere(): Promise<boolean> {
    const { target } = this.#parts;
    const { digest, sizeBytes } = this.#blob;
    if (sizeBytes < HEAD_FROM_BYTES) return false;
    try {
      return (await headBlob(target, digest, this.#signal, isNoSilence)) !== undefined;
    } catch (error) {
      if (this.#signal.aborted) throw error;
      if (isHeadRefused(error) || isMirrorError(error, ...MAY_PASS_PLAINLY)) return false;
      throw error;
    }
  }

  async #begin(): Promise<NextHop | 'present'> {
    if (this.#options.force !== true && (await this.#isThere())) return 'present';
    return this.#startSession();
  }

  async #startSession(): Promise<NextHop> {
    const { target } = this.#parts;
    const answer = await postUpload(target, '', target.scope, this.#signal);
    const location = sessionOf(target, answer);
    if (location === undefined) throw failure(answer, asked(target, 'start upload'));
    return location;
  }

  /**
   * The first bytes are there before the upload asks for its start: from then on the upload holds a
   * place, and a source that is slow to begin, or that must be resumed, would hold it for long.
   */
  async #send(location: NextHop, open: OpenBlob): Promise<void> {
    const { sizeBytes } = this.#blob;
    if (sizeBytes === 0) {
      await this.#finish(location, Buffer.alloc(0));
      return;
    }
    await this.#withStream(open, async (stream) => {
      await firstBytes(stream);
      await this.#finish(location, { stream, sizeBytes, onBytes: this.#options.onBytes });
    });
  }

  async #withStream(open: OpenBlob, send: (stream: Readable) => Promise<void>): Promise<void> {
    const stream = await open(this.#signal);
    // Its error may come before anybody reads.
    stream.on('error', () => undefined);
    try {
      await send(stream);
    } finally {
      stream.destroy();
    }
  }

  /** Sends a small blob in one POST. A registry that does not take it so gets the bytes, which are in hand, by a PUT. */
  async #postWhole(stream: Readable): Promise<void> {
    const { target, memory } = this.#parts;
    const { sizeBytes } = this.#blob;
    const { onBytes } = this.#options;
    const bytes = await readWhole(target, stream, this.#blob);
    // Another blob may have been refused while this one was read.
    const begun = memory.singlePostRefused ? undefined : await this.#postBytes(bytes);
    if (begun === 'stored') {
      onBytes?.(sizeBytes);
      return;
    }
    // Of a small blob it is not asked whether it is there.
    const location = begun ?? (await this.#startSession());
    // What is refused a session too says nothing of the host.
    memory.singlePostRefused = true;
    await this.#finish(location, { stream: Readable.from([bytes]), sizeBytes, onBytes });
  }

  /** Undefined: it is refused or fails, which a plain upload need not. */
  async #postBytes(bytes: Buffer): Promise<'stored' | NextHop | undefined> {
    const { target } = this.#parts;
    try {
      return await postBlob(target, this.#blob, bytes, this.#signal);
    } catch (error) {
      if (this.#signal.aborted || !isMirrorError(error, ...MAY_PASS_PLAINLY)) throw error;
      return undefined;
    }
  }

  /** All bytes sent and no answer: the blob may be there, which a HEAD tells cheaper than to send it again. */
  async #finish(location: NextHop, body: StreamBody | Buffer): Promise<void> {
    const { target, memory, google, timing } = this.#parts;
    const capability = google && !isApiAddress(location.url) && !memory.sessionNeedsAuthorization;
    const session = { ...location, authorize: location.authorize && !capability };
    let lastByteAtMs = timing.now();
    const noted = Buffer.isBuffer(body)
      ? body
      : {
          ...body,
          onBytes: (count: number): void => {
            lastByteAtMs = timing.now();
            body.onBytes?.(count);
          },
        };
    try {
      await finishUpload(target, this.#blob, session, noted, this.#signal);
    } catch (error) {
      // The next attempt presents what this one did not.
      if (capability && isMirrorError(error, 'UNAUTHORIZED'))
        memory.sessionNeedsAuthorization = true;
      const waitedMs = timing.now() - lastByteAtMs;
      const unanswered = isMirrorError(error, 'NETWORK', 'TIMEOUT') && wasSentInFull(error);
      const isSlow = waitedMs >= SLOW_COMMIT_MS && isMirrorError(error, 'SERVER_ERROR');
      // Where nothing that is there may be written again (Nexus), another may have brought it.
      const isInTheWay = isMirrorError(error, 'REQUEST_REFUSED') && this.#options.force !== true;
      const mayArrive = (unanswered || isSlow || isInTheWay) && !this.#signal.aborted;
      if (!mayArrive || !(await this.#arrives(isInTheWay ? 0 : waitedMs))) throw error;
    }
  }

  /**
   * Looks for the blob: once where the answer was lost at once, and for minutes where the registry was seen
   * to take its time with the last byte, since a layer that is sent again takes as long again.
   */
  async #arrives(waitedMs: number): Promise<boolean> {
    const { timing } = this.#parts;
    const untilMs = timing.now() + (waitedMs < SLOW_COMMIT_MS ? 0 : COMMIT_PATIENCE_MS);
    for (let look = 1; ; look += 1) {
      if (await this.#arrived()) return true;
      const pauseMs = Math.min(LOOK_MS * 2 ** (look - 1), MAX_LOOK_MS);
      if (timing.now() + pauseMs > untilMs || this.#signal.aborted) return false;
      await sleep(timing, pauseMs, this.#signal);
    }
  }

  async #arrived(): Promise<boolean> {
    try {
      return (await headBlob(this.#parts.target, this.#blob.digest, this.#signal)) !== undefined;
    } catch {
      return false;
    }
  }
}

/** A small blob's bytes. @throws MirrorError `SIZE_MISMATCH`, and what the stream does */
async function readWhole(
  target: Target,
  stream: Readable,
  { digest, sizeBytes }: Descriptor,
): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let readBytes = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    readBytes += chunk.length;
    if (readBytes > sizeBytes) break;
  }
  // guard: single-post-size
  if (readBytes !== sizeBytes)
    throw new MirrorError('SIZE_MISMATCH', `${readBytes} bytes in place of ${sizeBytes}`, {
      ...asked(target, 'put blob'),
      url: blobUrl(target, digest),
      digests: [digest],
    });
  return Buffer.concat(chunks);
}

/** Waits until a stream has bytes ready, or has ended (Node, "Event: 'readable'"). @throws what the stream does */
async function firstBytes(stream: Readable): Promise<void> {
  const givenUp = (): MirrorError => new MirrorError('ABORTED', 'the download was given up');
  if (stream.destroyed) throw stream.errored ?? givenUp();
  const over = new AbortController();
  // Either rejects with the stream's error.
  const told = (name: string): Promise<unknown> => once(stream, name, { signal: over.signal });
  const closed = told('close').then(() => {
    throw givenUp();
  });
  try {
    await Promise.race([told('readable'), closed]);
  } finally {
    over.abort();
  }
}

function requireEmpty(target: Target, digest: string): void {
  // guard: empty-upload
  if (!hasDigest(Buffer.alloc(0), digest))
    throw new MirrorError('DIGEST_MISMATCH', 'an empty blob has another digest', {
      ...asked(target, 'put blob'),
      url: blobUrl(target, digest),
      digests: [digest],
    });
}

/** What is asked for when a blob is mounted. */
interface Mount {
  readonly digest: string;
  /** Repository to mount from; undefined: the registry looks where it likes. */
  readonly from: string | undefined;
  /**
   * The same, where it is not the upload's own. Another of Google's registries is named as `origin`, as
   * crane does (google/go-containerregistry#1388); one access token covers both.
   */
  readonly other: MountSource | undefined;
}

/** What the registry says to a mount. */
type MountAnswer =
  | { readonly kind: 'mounted' }
  | { readonly kind: 'session'; readonly location: NextHop }
  /** It refuses to be asked for one, of anybody or for want of a right. */
  | { readonly kind: 'mount-refused' | 'mount-denied' };

/** Asks for a mount (OCI Distribution 1.1, "Mounting a blob from another repository"). */
async function startMount(
  target: Target,
  { digest, from, other }: Mount,
  signal: AbortSignal,
  may: Pick<RegistryRequest, 'mayStart' | 'mayRetry'>,
): Promise<MountAnswer> {
  const origin = other?.origin;
  const query = [
    `?mount=${requireDigest(digest)}`,
    ...(from === undefined ? [] : [`&from=${encodeURIComponent(from)}`]),
    ...(origin === undefined ? [] : [`&origin=${encodeURIComponent(origin)}`]),
  ].join('');
  const mountFrom = origin === undefined ? other?.path : undefined;
  const answer = await postUpload(target, query, { ...target.scope, mountFrom }, signal, may);
  if (answer.status === 201) return { kind: 'mounted' };
  if (answer.status === 401 || answer.status === 403) return { kind: 'mount-denied' };
  if (isRefusal(answer.status)) return { kind: 'mount-refused' };
  const location = sessionOf(target, answer);
  if (location === undefined) throw failure(answer, asked(target, 'start upload'));
  return { kind: 'session', location };
}

/** The one POST with which every upload begins, or which is all of it. */
function postUpload(
  { client, path }: Target,
  query: string,
  scope: Target['scope'],
  signal: AbortSignal,
  more: Partial<RegistryRequest> = {},
): Promise<Answer> {
  return client.ask(
    {
      kind: 'upload',
      operation: 'start upload',
      method: 'POST',
      target: `/v2/${path}/blobs/uploads/${query}`,
      scope,
      ...more,
    },
    signal,
  );
}

/** Where to send the bytes; undefined: no session was begun. */
function sessionOf(target: Target, answer: Answer): NextHop | undefined {
  if (answer.status !== 202) return undefined;
  return judged(answer, asked(target, 'start upload'), () =>
    uploadLocation(answer.url, answer.header('location')),
  );
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
 * @throws MirrorError `DIGEST_MISMATCH`, `SIZE_MISMATCH` where the registry found another blob in the bytes,
 *   `SERVER_ERROR` where it lost the session, `RESPONSE_INVALID` for a page, and those of the way
 */
async function finishUpload(
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
      headers: BLOB_HEADERS,
      body,
      scope: location.authorize ? target.scope : undefined,
    },
    signal,
  );
  if (answer.status !== 201 && answer.status !== 204 && answer.status !== 200) {
    throw failure(answer, asked(target, 'put blob'), refusalCode(answer));
  }
  requireStored(target, blob, answer);
}

/**
 * Sends a small blob in one POST (OCI Distribution 1.1, "Single POST"), which a registry may answer as if it had
 * been asked for a session.
 * @returns undefined where the registry refuses to be sent a blob so
 * @throws MirrorError as those of {@link finishUpload}
 */
async function postBlob(
  target: Target,
  blob: Descriptor,
  bytes: Buffer,
  signal: AbortSignal,
): Promise<'stored' | NextHop | undefined> {
  const answer = await postUpload(target, appendDigest('', blob.digest), target.scope, signal, {
    operation: 'put blob',
    headers: BLOB_HEADERS,
    body: bytes,
    mayRetry: isNoSilence,
  });
  if (answer.status === 201) {
    requireStored(target, blob, answer);
    return 'stored';
  }
  // What else refuses (a firewall's 403 of a body too) need not refuse a session.
  if (answer.status === 401) throw failure(answer, asked(target, 'put blob'));
  return sessionOf(target, answer);
}

/** @throws MirrorError `DIGEST_MISMATCH`, `RESPONSE_INVALID` where the answer to a blob's bytes is none to them */
function requireStored(target: Target, blob: Descriptor, answer: Answer): void {
  requireNoPage(answer, asked(target, 'put blob'));
  // guard: put-blob-digest
  if (announcesOther(answer, blob.digest))
    throw new MirrorError('DIGEST_MISMATCH', 'the registry stored another digest', {
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

function refusalCode(answer: Answer): ErrorCode | undefined {
  const { codes } = parseErrorBody(answer.body);
  if (codes.includes('DIGEST_INVALID')) return 'DIGEST_MISMATCH';
  if (codes.includes('SIZE_INVALID')) return 'SIZE_MISMATCH';
  // The session is gone or in another state: a new one helps.
  const lost = answer.status === 404 || answer.status === 416 || answer.status === 409;
  return lost || codes.includes('BLOB_UPLOAD_UNKNOWN') ? 'SERVER_ERROR' : undefined;
}
