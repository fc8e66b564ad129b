import { Fault } from '../fault.ts';
import type { TransportResponse } from './transport.ts';

/** Largest error body that is read; the rest says nothing new. ggcr caps at the same. */
export const MAX_ERROR_BYTES = 64 * 1024;

/**
 * Reads a small body whole. The library below knows no limit, so every one has its cap here.
 * @throws Fault `RESPONSE_TOO_LARGE` beyond `maxBytes`, `RESPONSE_INVALID` for an encoded body (`identity`
 *   was asked for: the bytes would neither be the content's nor have its size)
 */
export async function readBody(response: TransportResponse, maxBytes: number): Promise<Buffer> {
  // guard: content-encoding
  if (isEncoded(response.header('content-encoding'))) {
    response.discard();
    throw new Fault('RESPONSE_INVALID', 'the registry encodes what it was asked to send plainly');
  }
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of response.chunks) {
    sizeBytes += chunk.length;
    // guard: response-size
    if (sizeBytes > maxBytes) throw new Fault('RESPONSE_TOO_LARGE', `more than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks);
}

/** Reads what there is of an error body, up to the cap; a broken one is as good as none. */
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
  return Buffer.concat(chunks).subarray(0, MAX_ERROR_BYTES);
}

/** Codings that change the bytes (IANA, "HTTP Content Coding Registry"); stores label with other words too. */
const CODINGS = /^(?:x-)?(?:gzip|compress|deflate|br|zstd|dcb|dcz|exi|pack200-gzip)$/;

function isEncoded(header: string | undefined): boolean {
  const labels = (header ?? '').toLowerCase().split(',');
  return labels.some((label) => CODINGS.test(label.trim()));
}
