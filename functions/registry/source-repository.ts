import { Readable } from 'node:stream';

import { MirrorError } from '../errors.ts';
import type { SourceRepository } from '../mirror/ports.ts';
import { hasDigest } from '../oci/digest.ts';
import { requireAbsence } from './absence.ts';
import { readBlob } from './blob-stream.ts';
import { blobUrl, headBlob, isHeadRefused, openBlob } from './blobs.ts';
import { failure, isOpen, type Answer } from './failure.ts';
import type { HostCapabilities } from './host-capabilities.ts';
import { getManifest, headManifest, type Target } from './manifests.ts';
import { pullsLeft, RESERVED_PULLS, type PullsLeft } from './rate-limit.ts';
import { listReferrers, mayHaveReferrers } from './referrers.ts';
import { listTags } from './tags.ts';
import type { Timing } from '../concurrency.ts';

/** What a source repository is made of. */
export interface SourceParts {
  readonly target: Target;
  readonly memory: HostCapabilities;
  readonly timing: Timing;
  /** One of Google's registries. */
  readonly google: boolean;
  /** Page size of its tag list; see {@link listTags}. */
  readonly pageSize: number;
}

/** Remembered blobs that may not be resumed; beyond it the memory begins anew. */
const MAX_RANGE_REFUSALS = 1000;

const GET_BLOB = { operation: 'get blob', side: 'source' } as const;

/** A repository to read from, for one event: Docker Hub's reserve is counted for each anew. */
export function sourceRepository(parts: SourceParts): SourceRepository {
  const { memory, timing, google, pageSize } = parts;
  const { client, path } = parts.target;
  let pulls: PullsLeft | undefined;
  const target: Target = {
    ...parts.target,
    onManifestAnswer({ header }) {
      pulls = pullsLeft(header, client.registry.host) ?? pulls;
    },
  };

  /** @param reserve so many are left alone; HEADs are not counted, and stop with the last pull. */
  function requirePulls(operation: string, reserve: number): void {
    if (pulls === undefined || pulls.count > reserve) return;
    const { count, windowMs } = pulls;
    const window = windowMs === undefined ? '' : ` of its ${windowMs / 3_600_000} h`;
    throw new MirrorError('RATE_LIMITED', `the registry has ${count} pulls left${window}`, {
      operation,
      side: 'source',
      url: client.registry.origin,
      retryAfterMs: count > 0 ? undefined : windowMs,
    });
  }

  return {
    name: `${client.registry.host}/${path}`,
    host: client.registry.host,
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
    async headManifest(reference, signal) {
      requirePulls('head manifest', 0);
      return (await headManifest(target, reference, signal, true)).head;
    },
    async getManifest(reference, signal) {
      requirePulls('get manifest', RESERVED_PULLS);
      return (await getManifest(target, reference, signal)).manifest;
    },
    async openBlob(blob, offsetBytes, signal) {
      const sizeBytes =
        blob.sizeBytes >= 0 ? blob.sizeBytes : await askSize(target, blob.digest, signal);
      if (sizeBytes === undefined) return undefined;
      if (sizeBytes === 0) return emptyBlob(target, blob.digest);
      const stream = await readBlob(
        {
          blob: { digest: blob.digest, sizeBytes },
          open: (offset, within, patienceMs) =>
            openBlob(target, { digest: blob.digest, sizeBytes }, offset, within, patienceMs),
          requireAbsence: (answer, within) =>
            requireAbsence(
              target,
              answer,
              GET_BLOB,
              () => askBlob(target, blob.digest, within, 0),
              within,
              // Who asks holds a stream that others wait for.
              0,
            ),
          timing,
          mayResume: !memory.rangeRefused.has(blob.digest),
          onWrongAfterResume() {
            if (memory.rangeRefused.size >= MAX_RANGE_REFUSALS) memory.rangeRefused.clear();
            memory.rangeRefused.add(blob.digest);
          },
          asked: GET_BLOB,
        },
        signal,
      );
      return stream === undefined || offsetBytes <= 0 ? stream : from(stream, offsetBytes);
    },
    blobSize: (digest, signal) => askSize(target, digest, signal),
    listReferrers: (digest, signal, onUnread) =>
      listReferrers(target, digest, timing.now, signal, onUnread),
    get mayHaveReferrersApi() {
      return mayHaveReferrers(target, timing.now());
    },
  };
}

/**
 * Asks how large a blob is. Where a HEAD does not tell (some fronts call each of its answers empty), is refused, or
 * says that it is not there, which a proxy without a backend says too, the beginning of a GET does. Undefined: it is not there.
 * @throws MirrorError `RESPONSE_INVALID` where nobody tells
 */
async function askSize(
  target: Target,
  digest: string,
  signal: AbortSignal,
): Promise<number | undefined> {
  const head = await headBlob(target, digest, signal).catch((error: unknown) => {
    if (isHeadRefused(error)) return undefined;
    throw error;
  });
  const isTold = head?.sizeBytes !== 0 || hasDigest(Buffer.alloc(0), digest);
  if (head?.sizeBytes !== undefined && isTold) return head.sizeBytes;
  const ask = async (): Promise<Answer> => askBlob(target, digest, signal);
  const answer = await ask();
  if (answer.status === 404) {
    await requireAbsence(target, answer, GET_BLOB, ask, signal);
    return undefined;
  }
  const length = answer.header('content-length') ?? '';
  if (answer.status === 200 && /^\d{1,15}$/.test(length)) return Number(length);
  throw failure(answer, GET_BLOB, answer.status === 200 ? 'RESPONSE_INVALID' : undefined);
}

/** Asks for a blob and reads none of it. */
async function askBlob(
  target: Target,
  digest: string,
  signal: AbortSignal,
  patienceMs?: number,
): Promise<Answer> {
  const answer = await openBlob(target, { digest, sizeBytes: 0 }, 0, signal, patienceMs);
  if (!isOpen(answer)) return answer;
  answer.discard();
  const { status, header, url } = answer;
  return { status, header, url, body: Buffer.alloc(0) };
}

/** No byte is asked for, but the digest must be that of no bytes. */
function emptyBlob(target: Target, digest: string): Readable {
  // guard: empty-blob
  if (!hasDigest(Buffer.alloc(0), digest))
    throw new MirrorError('DIGEST_MISMATCH', 'an empty blob has another digest', {
      ...GET_BLOB,
      url: blobUrl(target, digest),
      digests: [digest],
    });
  return Readable.from([]);
}

/** The stream from an offset: its digest covers every byte, so all are read and the first skipped. */
function from(stream: Readable, offsetBytes: number): Readable {
  return Readable.from(skip(stream, offsetBytes), { objectMode: false });
}

async function* skip(stream: Readable, offsetBytes: number): AsyncGenerator<Buffer> {
  let leftBytes = offsetBytes;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    const rest = chunk.subarray(Math.min(leftBytes, chunk.length));
    leftBytes -= chunk.length - rest.length;
    if (rest.length > 0) yield rest;
  }
}
