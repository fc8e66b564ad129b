import type { Readable } from 'node:stream';

import { MirrorError } from '../../functions/errors.ts';

/** Largest watch event that is read: etcd takes objects of 1.5 MiB, JSON may escape them. */
const MAX_LINE_BYTES = 16 * 1024 * 1024;

/**
 * Lines of a stream of JSON objects as they arrive, without their line end and without the elements
 * of `managedFields`; an unfinished last one is dropped.
 * @throws MirrorError `RESPONSE_TOO_LARGE` for a line of over 16 MiB
 */
export async function* readLines(stream: Readable): AsyncGenerator<string> {
  const filter = new ManagedFieldsFilter();
  let rest: Buffer[] = [];
  let restBytes = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    const kept = filter.push(chunk);
    let start = 0;
    for (let end = kept.indexOf(10); end !== -1; end = kept.indexOf(10, start)) {
      const piece = kept.subarray(start, end);
      yield rest.length === 0
        ? piece.toString('utf8')
        : Buffer.concat([...rest, piece]).toString('utf8');
      rest = [];
      restBytes = 0;
      start = end + 1;
    }
    if (start < kept.length) {
      rest.push(kept.subarray(start));
      restBytes += kept.length - start;
      if (restBytes > MAX_LINE_BYTES) {
        throw new MirrorError('RESPONSE_TOO_LARGE', 'a watch event has over 16 MiB', {
          operation: 'read watch event',
        });
      }
    }
  }
}

const KEY = Buffer.from('"managedFields":[');
const [QUOTE, BACKSLASH, OPEN, CLOSE] = [0x22, 0x5c, 0x5b, 0x5d] as const;

/**
 * Drops the elements of `managedFields` from the JSON of the API server while it arrives: most of an
 * object's bytes, and most of what parsing would leave for the garbage collector. The key with its
 * bare quotes cannot be part of a string, where quotes are escaped; JSON in another form stays as it
 * is.
 */
export class ManagedFieldsFilter {
  /** The end of what was pushed, where a key may begin that is not complete yet. */
  #tail: Buffer = Buffer.alloc(0);
  /** Open brackets of an array that is being dropped; 0 outside of one. */
  #depth = 0;
  #inString = false;
  #escaped = false;

  /** Takes the next bytes; gives those to keep, none of them part of the chunk's own memory. */
  push(chunk: Buffer): Buffer {
    const kept: Buffer[] = [];
    let rest = chunk;
    while (rest.length > 0) {
      rest = this.#depth > 0 ? this.#drop(rest) : this.#keep(rest, kept);
    }
    return Buffer.concat(kept);
  }

  /** What is left at the end. */
  end(): Buffer {
    return this.#tail;
  }

  /** Keeps what comes before the elements of the next array; gives what comes after. */
  #keep(bytes: Buffer, kept: Buffer[]): Buffer {
    const text = this.#tail.length === 0 ? bytes : Buffer.concat([this.#tail, bytes]);
    const found = text.indexOf(KEY);
    if (found === -1) {
      const safe = text.length - lengthOfBegunKey(text);
      kept.push(text.subarray(0, safe));
      this.#tail = Buffer.from(text.subarray(safe));
      return text.subarray(text.length);
    }
    this.#tail = Buffer.alloc(0);
    this.#depth = 1;
    kept.push(text.subarray(0, found + KEY.length));
    return text.subarray(found + KEY.length);
  }

  /** Passes over the array's elements; gives what comes after, its closing bracket first. */
  #drop(bytes: Buffer): Buffer {
    for (let at = 0; at < bytes.length; at += 1) {
      const byte = bytes[at];
      if (this.#escaped) this.#escaped = false;
      else if (this.#inString) {
        if (byte === BACKSLASH) this.#escaped = true;
        else if (byte === QUOTE) this.#inString = false;
      } else if (byte === QUOTE) this.#inString = true;
      else if (byte === OPEN) this.#depth += 1;
      else if (byte === CLOSE && (this.#depth -= 1) === 0) return bytes.subarray(at);
    }
    return bytes.subarray(bytes.length);
  }
}

/** How many of the last bytes may be the beginning of a key; what is complete is never held back. */
function lengthOfBegunKey(text: Buffer): number {
  for (let length = Math.min(KEY.length - 1, text.length); length > 0; length -= 1) {
    if (text.subarray(text.length - length).equals(KEY.subarray(0, length))) return length;
  }
  return 0;
}
