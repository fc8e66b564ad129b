import type { Readable } from 'node:stream';

import { Fault, isFault } from '../fault.ts';
import type { BlobArrival, DestinationRepository, MountSource, OpenBlob } from '../mirror/ports.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { hasDigest } from '../oci/digest.ts';
import { headBlob, isHeadRefused } from './blobs.ts';
import { failure } from './failure.ts';
import type { HostMemory } from './host-memory.ts';
import { getManifest, headManifest, putManifest, type Target } from './manifests.ts';
import type { NextHop } from './redirect-policy.ts';
import { listReferrers } from './referrers.ts';
import { wasSentInFull } from './sent-in-full.ts';
import { listTags } from './tags.ts';
import type { StreamBody } from './stream-sender.ts';
import { sleep, type Timing } from '../concurrency.ts';
import { finishUpload, isApiAddress, startUpload } from './uploads.ts';

/** What a destination repository is made of. */
export interface DestinationParts {
  readonly target: Target;
  readonly memory: HostMemory;
  readonly timing: Timing;
  /** One of Google's registries. */
  readonly google: boolean;
  readonly pageSize: number;
  /** The tag list of Artifact Registry's own API, where the host has one. */
  readonly listTagDigests?:
    ((signal: AbortSignal) => Promise<ReadonlyMap<string, string> | undefined>) | undefined;
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

/** A repository to write to. */
export function destinationRepository(parts: DestinationParts): DestinationRepository {
  const { target, memory, timing, google, pageSize, listTagDigests } = parts;
  return {
    name: `${target.client.registry.host}/${target.path}`,
    host: target.client.registry.host,
    google,
    listTags: (signal, part) =>
      listTags(
        {
          ...target,
          part,
          pageSize: memory.pageSizeRefused ? undefined : pageSize,
          onSizeRefused() {
            memory.pageSizeRefused = true;
          },
        },
        signal,
      ),
    ...(listTagDigests === undefined ? {} : { listTagDigests }),
    headManifest: async (reference, signal, isListed) =>
      (await headManifest(target, reference, signal, isListed)).head,
    getManifest: async (reference, signal) =>
      (await getManifest(target, reference, signal)).manifest,
    hasBlob: async (blob, signal) => (await headBlob(target, blob.digest, signal)) !== undefined,
    uploadBlob: (blob, open, options, signal) =>
      new BlobUpload(parts, blob, options, signal).run(open),
    async listsReferrer(subject, referrer, signal) {
      if (memory.listsReferrers !== undefined) return memory.listsReferrers;
      const answer = await listReferrers(target, subject, timing.now, signal);
      memory.listsReferrers =
        typeof answer !== 'string' && answer.some(({ digest }) => digest === referrer);
      return memory.listsReferrers;
    },
    putManifest: (reference, manifest, signal, mayStart) =>
      putManifest(target, reference, manifest, signal, mayStart),
  };
}

const PLAIN = { mount: undefined, from: undefined, origin: undefined } as const;

interface UploadOptions {
  readonly mountFrom?: MountSource;
  readonly force?: boolean;
  readonly onBytes?: (count: number) => void;
}

/** Makes one blob be there, with as few requests as its host allows. */
class BlobUpload {
  readonly #parts: DestinationParts;
  readonly #blob: Descriptor;
  readonly #options: UploadOptions;
  readonly #signal: AbortSignal;

  constructor(
    parts: DestinationParts,
    blob: Descriptor,
    options: UploadOptions,
    signal: AbortSignal,
  ) {
    this.#parts = parts;
    this.#blob = blob;
    this.#options = options;
    this.#signal = signal;
  }

  async run(open: OpenBlob): Promise<BlobArrival> {
    if (this.#blob.sizeBytes === 0) requireEmpty(this.#blob.digest);
    const begun = this.#mayMount() ? await this.#mount() : await this.#begin();
    if (typeof begun === 'string') return begun;
    await this.#send(begun, open);
    return 'uploaded';
  }

  #mayMount(): boolean {
    const { memory } = this.#parts;
    if (this.#options.force === true) return false;
    const other = this.#otherSource();
    return other === undefined
      ? !memory.mountRefused
      : !memory.mountsRefused.has(this.#pair(other));
  }

  /** Where to mount from; undefined: nowhere else than the repository itself. */
  #otherSource(): MountSource | undefined {
    const { mountFrom } = this.#options;
    const itself = mountFrom?.origin === undefined && mountFrom?.path === this.#parts.target.path;
    return itself ? undefined : mountFrom;
  }

  #pair({ origin, path }: MountSource): string {
    return `${origin ?? ''} ${path} ${this.#parts.target.path}`;
  }

  /** Asks for a mount; a pair of repositories that is refused is asked plainly, from then on. */
  async #mount(): Promise<BlobArrival | NextHop> {
    const { target, memory, google } = this.#parts;
    const other = this.#otherSource();
    // Google looks without `from`; others want one, and their own repository makes it a probe.
    const from = other?.path ?? (google ? undefined : target.path);
    const start = { mount: this.#blob.digest, from, origin: other?.origin };
    const started = await startUpload(target, start, this.#signal).catch((error: unknown) => {
      const isKnownToMount = other === undefined && (memory.mountProven || google);
      if (isKnownToMount || this.#signal.aborted) throw error;
      // A realm may refuse the right to read where the blob is mounted from.
      if (other !== undefined && isFault(error, 'UNAUTHORIZED', 'FORBIDDEN'))
        return { kind: 'mount-refused' } as const;
      // A registry that was not made for it may fail at it, and not be down.
      if (isFault(error, 'SERVER_ERROR', 'TIMEOUT', 'NETWORK'))
        return { kind: 'mount-failed' } as const;
      throw error;
    });
    if (started.kind === 'mounted') {
      if (other !== undefined) return 'mounted';
      memory.mountProven = true;
      return 'present';
    }
    if (await this.#isThere()) return 'present';
    if (started.kind === 'session') return started.location;
    const location = await this.#begin();
    if (other === undefined) memory.mountRefused = true;
    else if (started.kind === 'mount-refused') memory.mountsRefused.set(this.#pair(other), true);
    return location;
  }

  /** Where the mount proves nothing, a large blob is worth a HEAD; that it is refused does not keep the blob away. */
  async #isThere(): Promise<boolean> {
    const { target, memory } = this.#parts;
    if (memory.mountProven || this.#blob.sizeBytes < HEAD_FROM_BYTES) return false;
    try {
      return (await headBlob(target, this.#blob.digest, this.#signal)) !== undefined;
    } catch (error) {
      if (isHeadRefused(error)) return false;
      throw error;
    }
  }

  async #begin(): Promise<NextHop | 'present'> {
    const { target } = this.#parts;
    if (this.#options.force !== true && (await this.#isThere())) return 'present';
    const started = await startUpload(target, PLAIN, this.#signal);
    if (started.kind === 'session') return started.location;
    if (started.kind === 'mounted') return 'present';
    throw failure(started.answer, { operation: 'start upload', side: 'destination' });
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
    const stream: Readable = await open(this.#signal);
    // Its error may come before anybody reads.
    stream.on('error', () => undefined);
    try {
      await firstBytes(stream);
      const body = { stream, sizeBytes, onBytes: this.#options.onBytes };
      await this.#finish(location, body);
    } finally {
      stream.destroy();
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
      if (capability && isFault(error, 'UNAUTHORIZED')) memory.sessionNeedsAuthorization = true;
      const waitedMs = timing.now() - lastByteAtMs;
      const unanswered = isFault(error, 'NETWORK', 'TIMEOUT') && wasSentInFull(error);
      const isSlow = waitedMs >= SLOW_COMMIT_MS && isFault(error, 'SERVER_ERROR');
      const mayArrive = (unanswered || isSlow) && !this.#signal.aborted;
      if (!mayArrive || !(await this.#arrives(waitedMs))) throw error;
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

/** Waits until a stream has bytes ready, or has ended. @throws what the stream does */
function firstBytes(stream: Readable): Promise<void> {
  return new Promise((resolve, reject) => {
    if (stream.destroyed) {
      reject(stream.errored ?? new Fault('ABORTED', 'the download was given up'));
      return;
    }
    const done = (): void => {
      stream.off('readable', done);
      stream.off('end', done);
      stream.off('error', fail);
      stream.off('close', closed);
      resolve();
    };
    const fail = (error: Error): void => {
      done();
      reject(error);
    };
    const closed = (): void => {
      fail(new Fault('ABORTED', 'the download was given up'));
    };
    stream.on('readable', done);
    stream.on('end', done);
    stream.on('error', fail);
    stream.on('close', closed);
  });
}

function requireEmpty(digest: string): void {
  // guard: empty-upload
  if (!hasDigest(Buffer.alloc(0), digest))
    throw new Fault('DIGEST_MISMATCH', 'an empty blob has another digest', {
      operation: 'put blob',
      side: 'destination',
      digests: [digest],
    });
}
