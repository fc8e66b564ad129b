import { createHash } from 'node:crypto';

/** Bytes that can be read from any offset, as often as wanted. */
export interface Content {
  readonly sizeBytes: number;
  /**
   * The bytes from `start` up to but without `end`, in chunks fit for a socket.
   * @throws Error where the bytes were not kept
   */
  read(start: number, end: number): Iterable<Buffer>;
}

/** Bytes a chunk of an answer at most has: what one `write` of a socket takes without waiting long. */
const CHUNK_BYTES = 64 * 1024;
/** Bytes after which a synthetic content repeats, but for its marks. */
const BLOCK_BYTES = 256 * 1024;
/** Bytes of the mark that begins each block: a SHA-256. */
const MARK_BYTES = 32;
/** What all synthetic contents consist of between their marks; made when first needed. */
let sharedPattern: Buffer | undefined;

/** Content held in memory, in the chunks in which it came. */
export function memoryContent(...chunks: readonly Buffer[]): Content {
  const sizeBytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  return {
    sizeBytes,
    *read(start, end): Iterable<Buffer> {
      let at = 0;
      for (const chunk of chunks) {
        const from = Math.max(start - at, 0);
        const to = Math.min(end - at, chunk.length);
        for (let offset = from; offset < to; offset += CHUNK_BYTES) {
          yield chunk.subarray(offset, Math.min(offset + CHUNK_BYTES, to));
        }
        at += chunk.length;
        if (at >= end) return;
      }
    },
  };
}

/**
 * Content made on the fly: a random block of 256 KiB repeated, each time with a mark in front that
 * depends on the seed and the block's number. 4 GiB cost no memory and next to no time, no two
 * offsets and no two seeds look alike.
 */
export function syntheticContent(seed: string, sizeBytes: number): Content {
  sharedPattern ??= createHash('shake256', { outputLength: BLOCK_BYTES })
    .update('pattern')
    .digest();
  const pattern = sharedPattern;
  return {
    sizeBytes,
    *read(start, end): Iterable<Buffer> {
      let at = start;
      while (at < Math.min(end, sizeBytes)) {
        const number = Math.floor(at / BLOCK_BYTES);
        const blockAt = number * BLOCK_BYTES;
        const from = at - blockAt;
        const to = Math.min(BLOCK_BYTES, Math.min(end, sizeBytes) - blockAt);
        if (from < MARK_BYTES) {
          const mark = createHash('sha256').update(`${seed}/${number}`).digest();
          yield mark.subarray(from, to);
        }
        if (to > MARK_BYTES) yield pattern.subarray(Math.max(from, MARK_BYTES), to);
        at = blockAt + to;
      }
    },
  };
}

/** Content of which only the size was kept. */
export function discardedContent(sizeBytes: number): Content {
  return {
    sizeBytes,
    read(): Iterable<Buffer> {
      throw new Error('the bytes of this blob were not kept');
    },
  };
}

/** All bytes of a content in one buffer; for small ones. */
export function bytesOf(content: Content): Buffer {
  return Buffer.concat([...content.read(0, content.sizeBytes)]);
}
