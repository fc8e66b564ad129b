import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';

/**
 * Largest body of a push, in bytes: Pub/Sub's 10 MB (10,000,000 bytes, "Resource limits") in the
 * base64 of a wrapped push, and 600,000 for the JSON around it with all 100 attributes.
 */
export const MAX_BODY_BYTES = 14_000_000;

/**
 * Largest head of a push, in bytes: 100 attributes of 1,280 bytes ("Resource limits") as headers make
 * 128 KB, and as much again for what the way adds. Node's own default is 16 KiB.
 */
export const MAX_HEAD_BYTES = 256 * 1024;

/** Whether a body says that it is larger than any push. */
export function saysTooLarge(headers: IncomingHttpHeaders): boolean {
  // NaN where none is told, which is larger than nothing.
  return Number(headers['content-length']) > MAX_BODY_BYTES;
}

/**
 * Bounds what a framework reads of a body. A compressed one is left as it is, whatever reads it: Pub/Sub never
 * compresses, and 1 MB can become 1 GB. It then is no JSON, and ends as a dead letter. A body
 * that tells no size is cut off once it has more than {@link MAX_BODY_BYTES}.
 */
export function boundBody(request: IncomingMessage): void {
  delete request.headers['content-encoding']; // guard: body-encoding, without: ;
  let sizeBytes = 0;
  const push = request.push.bind(request);
  request.push = (chunk: Buffer | null, encoding?: BufferEncoding) => {
    sizeBytes += chunk === null ? 0 : chunk.length;
    // guard: body-size
    if (sizeBytes > MAX_BODY_BYTES) {
      request.destroy();
      return false;
    }
    return push(chunk, encoding);
  };
}
