import type { IncomingHttpHeaders } from 'node:http';
import type { Content } from './content.ts';
import { memoryContent } from './content.ts';
import type { RegistryRefusal } from './refusal.ts';

/** A request as the registry's handlers see it. */
export interface RegistryRequest {
  readonly method: string;
  /** Path without the query, as written. */
  readonly path: string;
  /** Query as written, without the question mark. */
  readonly rawQuery: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  /** Scheme, host and port under which the client reached the registry, for absolute addresses. */
  readonly origin: string;
  /** The body, at most once. Leaving the loop early leaves the rest unread. */
  readonly body: AsyncIterable<Buffer>;
}

/** How an answer ends before its end. */
export interface BrokenEnding {
  /** Bytes of the body that are sent before; `head`: not even the status line is. */
  readonly after: number | 'head';
  /** `reset`: RST; `close`: FIN; `stall`: nothing more comes, the connection stays. */
  readonly by: 'reset' | 'close' | 'stall';
}

/** What is answered. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Not sent in answer to HEAD, but its size is told. */
  readonly body?: Content;
  /** Absent: the answer is sent whole. */
  readonly ending?: BrokenEnding;
  /** What becomes of a request body that no handler read: read to its end (default), or left in the socket. */
  readonly unread?: 'drain' | 'hold';
}

/** Answers requests. A thrown {@link RegistryRefusal} is an answer too. */
export type Handler = (request: RegistryRequest) => Promise<Answer>;

/** An answer without a body. */
export function emptyAnswer(
  status: number,
  headers: Readonly<Record<string, string>> = {},
): Answer {
  return { status, headers: status === 204 ? headers : { 'content-length': '0', ...headers } };
}

/** An answer with a small body. */
export function bytesAnswer(
  status: number,
  contentType: string,
  bytes: Buffer,
  headers: Readonly<Record<string, string>> = {},
): Answer {
  return {
    status,
    headers: {
      'content-type': contentType,
      'content-length': String(bytes.length),
      ...headers,
    },
    body: memoryContent(bytes),
  };
}

/** An answer with a JSON document. */
export function jsonAnswer(
  status: number,
  document: unknown,
  headers: Readonly<Record<string, string>> = {},
): Answer {
  return bytesAnswer(
    status,
    'application/json; charset=utf-8',
    Buffer.from(`${JSON.stringify(document)}\n`),
    headers,
  );
}

/** What a path that no endpoint has is answered with: names outside the grammar lead to none. */
export function noSuchPage(): Answer {
  return bytesAnswer(404, 'text/plain; charset=utf-8', Buffer.from('404 page not found\n'));
}

/** The error answer of a refusal (OCI Distribution 1.1, "Error Codes"). */
export function refusalAnswer(refusal: RegistryRefusal): Answer {
  return jsonAnswer(
    refusal.status,
    { errors: refusal.entries },
    { 'docker-distribution-api-version': 'registry/2.0', ...refusal.headers },
  );
}
