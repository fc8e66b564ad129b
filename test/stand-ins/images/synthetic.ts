import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { syntheticContent, type Content } from '../registry/content.ts';
import { finishDigest } from '../registry/digest.ts';
import * as types from '../registry/media-types.ts';
import type { RegistryStore } from '../registry/store.ts';
import { buildManifest, descriptorOf, EPOCH, jsonBlob, type BuiltManifest } from './image.ts';
import { tarHeader } from './tar.ts';

/** A layer that is made while it is read. */
export interface SyntheticLayer {
  readonly content: Content;
  readonly digest: string;
  readonly diffId: string;
}

/** Bytes of a stored block of DEFLATE: below its 65,535 (RFC 1951, section 3.2.4). */
const STORED_BYTES = 61_440;
/** Before each of them: final bit and type, length, its complement. */
const STORED_HEADER_BYTES = 5;
/** No name, no time, unknown system (RFC 1952, section 2.3). */
const GZIP_HEADER = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]);
const GZIP_TRAILER_BYTES = 8;
const TAR_BLOCK_BYTES = 512;

/**
 * A layer of about `sizeBytes`: a gzip stream (stored, not compressed) of an archive with one file.
 * Nothing of it is kept: 4 GiB cost the seconds it takes to hash them once, and no memory.
 */
export function syntheticLayer(seed: string, sizeBytes: number): SyntheticLayer {
  const archive = syntheticArchive(seed, sizeBytes);
  const whole = createHash('sha256');
  const plain = createHash('sha256');
  let checksum = 0;
  for (const chunk of archive.read(0, archive.sizeBytes)) {
    plain.update(chunk);
    checksum = crc32(chunk, checksum);
  }
  const content = storedGzip(archive, checksum);
  for (const chunk of content.read(0, content.sizeBytes)) whole.update(chunk);
  return {
    content,
    digest: finishDigest(whole, 'sha256'),
    diffId: finishDigest(plain, 'sha256'),
  };
}

/** Puts an image of synthetic layers into the store of a registry of this process. */
export function putSyntheticImage(
  store: RegistryStore,
  repository: string,
  tag: string,
  layers: readonly SyntheticLayer[],
): BuiltManifest {
  const created = EPOCH.toISOString();
  const config = jsonBlob({
    created,
    os: 'linux',
    architecture: 'amd64',
    config: { Labels: { tag } },
    rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
  });
  const manifest = buildManifest(types.OCI_MANIFEST, {
    config: descriptorOf(config, types.OCI_CONFIG),
    layers: layers.map(({ digest, content }) => ({
      mediaType: types.OCI_LAYER_GZIP,
      digest,
      size: content.sizeBytes,
    })),
  });
  for (const { content, digest } of layers) store.putBlob(repository, content, digest);
  store.putBlob(repository, config.bytes, config.digest);
  store.putManifest(repository, manifest, tag);
  return manifest;
}

/** An archive with one file of pseudo-random bytes. */
function syntheticArchive(seed: string, sizeBytes: number): Content {
  const overhead = 3 * TAR_BLOCK_BYTES;
  const fileBytes = Math.max(
    Math.floor((sizeBytes - overhead) / TAR_BLOCK_BYTES) * TAR_BLOCK_BYTES,
    TAR_BLOCK_BYTES,
  );
  const header = tarHeader({ path: 'blob.bin' }, fileBytes, EPOCH.getTime() / 1000);
  const file = syntheticContent(seed, fileBytes);
  const end = TAR_BLOCK_BYTES + fileBytes;
  return {
    sizeBytes: end + 2 * TAR_BLOCK_BYTES,
    *read(from, to): Iterable<Buffer> {
      if (from < TAR_BLOCK_BYTES) yield header.subarray(from, to);
      if (to > TAR_BLOCK_BYTES && from < end) {
        yield* file.read(Math.max(from - TAR_BLOCK_BYTES, 0), Math.min(to, end) - TAR_BLOCK_BYTES);
      }
      if (to > end) yield Buffer.alloc(to - Math.max(from, end));
    },
  };
}

/** A gzip stream that stores its content. */
function storedGzip(archive: Content, checksum: number): Content {
  const blocks = Math.ceil(archive.sizeBytes / STORED_BYTES);
  const trailer = Buffer.alloc(GZIP_TRAILER_BYTES);
  trailer.writeUInt32LE(checksum, 0);
  trailer.writeUInt32LE(archive.sizeBytes % 2 ** 32, 4);
  const trailerAt = GZIP_HEADER.length + blocks * STORED_HEADER_BYTES + archive.sizeBytes;

  function header(number: number): Buffer {
    const length = Math.min(STORED_BYTES, archive.sizeBytes - number * STORED_BYTES);
    const bytes = Buffer.alloc(STORED_HEADER_BYTES);
    bytes[0] = number === blocks - 1 ? 1 : 0;
    bytes.writeUInt16LE(length, 1);
    bytes.writeUInt16LE(~length & 0xffff, 3);
    return bytes;
  }

  /** The bytes of one block from `from` up to `to`, both counted from the block's header. */
  function* block(number: number, from: number, to: number): Iterable<Buffer> {
    if (from < STORED_HEADER_BYTES) yield header(number).subarray(from, to);
    if (to <= STORED_HEADER_BYTES) return;
    const at = number * STORED_BYTES - STORED_HEADER_BYTES;
    const end = Math.min((number + 1) * STORED_BYTES, archive.sizeBytes);
    yield* archive.read(at + Math.max(from, STORED_HEADER_BYTES), Math.min(at + to, end));
  }

  return {
    sizeBytes: trailerAt + GZIP_TRAILER_BYTES,
    *read(from, to): Iterable<Buffer> {
      if (from < GZIP_HEADER.length) yield GZIP_HEADER.subarray(from, to);
      const stride = STORED_BYTES + STORED_HEADER_BYTES;
      const end = Math.min(to, trailerAt) - GZIP_HEADER.length;
      for (let at = Math.max(from - GZIP_HEADER.length, 0); at < end;) {
        const number = Math.floor(at / stride);
        const next = Math.min((number + 1) * stride, end);
        yield* block(number, at - number * stride, next - number * stride);
        at = next;
      }
      if (to > trailerAt) yield trailer.subarray(Math.max(from - trailerAt, 0), to - trailerAt);
    },
  };
}
