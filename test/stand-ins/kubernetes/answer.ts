import type { ServerResponse } from 'node:http';

import type { JsonObject } from './object.ts';
import type { Refusal } from './refusal.ts';

/** Answers with a refusal's `Status`, and its Retry-After. */
export function sendRefusal(response: ServerResponse, refusal: Refusal): void {
  const retryAfter = refusal.details?.retryAfterSeconds;
  if (retryAfter !== undefined) response.setHeader('retry-after', String(retryAfter));
  sendJson(response, refusal.code, refusal.status);
}

/** Answers with a JSON document. */
export function sendJson(response: ServerResponse, status: number, body: JsonObject): void {
  sendText(response, status, `${JSON.stringify(body)}\n`);
}

/** Answers with the text of a JSON document. */
export function sendText(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, {
    'content-type': 'application/json',
    'cache-control': 'no-cache, private',
    'content-length': Buffer.byteLength(text),
  });
  response.end(text);
}
