import type { IncomingMessage } from 'node:http';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';

import { exchange } from '../http.ts';

/** Where an API server is and who asks it. */
export interface KubeAccess {
  /** `https://127.0.0.1:PORT`, or `http://…` */
  readonly url: string;
  /** Certificates that its own is checked against, PEM; default the system's. */
  readonly certificateAuthority?: string | undefined;
  readonly token: string;
}

/** One answer of the API server. */
export interface KubeAnswer {
  readonly status: number;
  /** The decoded JSON document: an object, a list, or a `Status`. */
  readonly body: unknown;
}

/** A change that a watch tells. */
export interface WatchEvent {
  readonly type: string;
  readonly object: {
    /** HTTP status of an `ERROR`. */
    readonly code?: number;
    readonly reason?: string;
    readonly metadata?: { readonly name?: string; readonly resourceVersion?: string };
  };
}

const contentTypes = {
  GET: undefined,
  DELETE: undefined,
  POST: 'application/json',
  PUT: 'application/json',
  PATCH: 'application/merge-patch+json',
} as const;

/** An HTTP method; PATCH sends a JSON merge patch, as Flux's controllers do for a status. */
export type KubeMethod = keyof typeof contentTypes;

/** Sends one request; `path` begins with `/api` or `/apis` and may have a query. Any status is an answer. */
export async function askKubeApi(
  access: KubeAccess,
  method: KubeMethod,
  path: string,
  body?: object,
  signal?: AbortSignal,
): Promise<KubeAnswer> {
  const response = await open(access, method, path, body, signal);
  const answer = await text(response);
  return { status: response.statusCode ?? 0, body: answer === '' ? undefined : asJson(answer) };
}

/**
 * The events of a watch (`path` has `watch=1` in its query), until the server closes it or the
 * consumer leaves the loop. Throws an Error when the answer is not 200.
 */
export async function* watchKubeApi(
  access: KubeAccess,
  path: string,
  signal?: AbortSignal,
): AsyncGenerator<WatchEvent, void> {
  const response = await open(access, 'GET', path, undefined, signal);
  try {
    if (response.statusCode !== 200) throw new Error(`watch answered ${response.statusCode ?? 0}`);
    for await (const line of createInterface({ input: response })) {
      yield JSON.parse(line) as WatchEvent;
    }
  } finally {
    response.destroy();
  }
}

function open(
  access: KubeAccess,
  method: KubeMethod,
  path: string,
  body: object | undefined,
  signal: AbortSignal | undefined,
): Promise<IncomingMessage> {
  const contentType = contentTypes[method];
  return exchange(
    new URL(path, access.url),
    {
      method,
      ca: access.certificateAuthority,
      signal,
      // A connection of its own: a kept one would not survive the server's restart.
      agent: false,
      headers: {
        authorization: `Bearer ${access.token}`,
        accept: 'application/json',
        ...(contentType === undefined ? {} : { 'content-type': contentType }),
      },
    },
    body === undefined ? undefined : JSON.stringify(body),
  );
}

function asJson(answer: string): unknown {
  try {
    return JSON.parse(answer);
  } catch {
    return answer;
  }
}
