import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';

import { MirrorError } from '../errors.ts';
import type { TransportResponse } from './transport.ts';

/** Largest error body that is read; the rest says nothing new. ggcr caps at the same. */
const MAX_ERROR_BYTES = 64 * 1024;

/** First bytes of every gzip stream (RFC 1952 §2.3.1). */
const GZIP = Buffer.from([0x1f, 0x8b]);
const GZIP_NAMES = new Set(['gzip', 'x-gzip']);

/**
 * Reads a small body whole. The library below knows no limit, so every one has its cap here. `identity` is
 * asked for; caches that store gzip send it all the same, and it is unpacked within the same cap. What
 * says to be gzip and is not comes as it is.
 * @throws MirrorError `RESPONSE_TOO_LARGE` beyond `maxBytes`, `RESPONSE_INVALID` for a body in another coding
 */
export async function readBody(response: TransportResponse, maxBytes: number): Promise<Buffer> {
  const encoding = encodingOf(response);
  const isGzip = GZIP_NAMES.has(encoding);
  // guard: content-encoding
  if (!isGzip && isEncoded(encoding)) {
    response.discard();
    throw new MirrorError(
      'RESPONSE_INVALID',
      'the registry encodes what it was asked to send plainly',
    );
  }
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of response.chunks) {
    sizeBytes += chunk.length;
    // guard: response-size
    if (sizeBytes > maxBytes)
      throw new MirrorError('RESPONSE_TOO_LARGE', `more than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  const body = chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks);
  return isGzip && body.subarray(0, 2).equals(GZIP) ? unpack(body, maxBytes) : body;
}

async function unpack(body: Buffer, maxBytes: number): Promise<Buffer> {
  try {
    return await promisify(gunzip)(body, { maxOutputLength: maxBytes }); // guard: unpacked-size, without: return await promisify(gunzip)(body);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE')
      throw new MirrorError('RESPONSE_TOO_LARGE', `more than ${maxBytes} bytes when unpacked`);
    throw new MirrorError('RESPONSE_INVALID', 'the registry sends gzip that cannot be unpacked');
  }
}

function encodingOf(response: TransportResponse): string {
  return (response.header('content-encoding') ?? '').trim().toLowerCase();
}

/**
 * Reads what there is of an error body, up to the cap, and unpacks it as {@link readBody} does; a broken one is
 * as good as none.
 */
export async function readErrorBody(response: TransportResponse): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  try {
    for await (const chunk of response.chunks) {
      chunks.push(chunk);
      sizeBytes += chunk.length;
      // guard: error-size
      if (sizeBytes >= MAX_ERROR_BYTES) break;
    }
  } catch {
    // The status alone is enough.
  }
  const body = Buffer.concat(chunks).subarray(0, MAX_ERROR_BYTES);
  if (!GZIP_NAMES.has(encodingOf(response)) || !body.subarray(0, 2).equals(GZIP)) return body;
  return unpack(body, MAX_ERROR_BYTES).catch(() => Buffer.alloc(0));
}

/** Codings that change the bytes (IANA, "HTTP Content Coding Registry"); stores label with other words too. */
const CODINGS = /^(?:x-)?(?:gzip|compress|deflate|br|zstd|dcb|dcz|exi|pack200-gzip)$/;

function isEncoded(header: string | undefined): boolean {
  const labels = (header ?? '').toLowerCase().split(',');
  return labels.some((label) => CODINGS.test(label.trim()));
}
