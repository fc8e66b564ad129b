import type { IncomingMessage } from 'node:http';

import { isJsonObject, type JsonObject } from './object.ts';
import { badRequest, Refusal } from './refusal.ts';

/** Largest request body that the API server takes (its `--max-request-bytes`): 3 MiB. */
const MAX_BODY_BYTES = 3 * 1024 * 1024;

/**
 * Reads and decodes a JSON body; undefined where it is empty.
 * @throws Refusal 400, 413
 */
export async function readBody(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    sizeBytes += chunk.length;
    if (sizeBytes > MAX_BODY_BYTES) {
      const message = `Request entity too large: limit is ${MAX_BODY_BYTES}`;
      throw new Refusal(413, 'RequestEntityTooLarge', message);
    }
    chunks.push(chunk);
  }
  const text = Buffer.concat(chunks).toString();
  if (text === '') return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw badRequest('the object provided is unrecognized: it is no JSON');
  }
}

/**
 * A body that must be an object.
 * @throws Refusal 400
 */
export function requireObject(body: unknown): JsonObject {
  if (isJsonObject(body)) return body;
  throw badRequest('the object provided is unrecognized: it is no JSON object');
}
