import assert from 'node:assert/strict';

import type { LocalKubernetes } from '../../stand-ins/kubernetes/kubernetes.ts';

/** A watch event as a client reads it. */
export interface SeenEvent {
  readonly type: string;
  readonly object: {
    readonly code?: number;
    readonly metadata: {
      readonly name?: string;
      readonly resourceVersion?: string;
      readonly annotations?: Readonly<Record<string, string>>;
    };
  };
}

/** An open watch, read line by line. */
export interface OpenWatch {
  /** The next line; undefined when the watch has ended. Rejects where the connection was cut. */
  next(): Promise<string | undefined>;
  /** As many events as wanted. */
  events(count: number): Promise<readonly SeenEvent[]>;
  close(): Promise<void>;
}

/** Where ImageRepositories of flux-system are. */
export const path = '/apis/image.toolkit.fluxcd.io/v1/namespaces/flux-system/imagerepositories';

/** Sends a request as a user; default the admin. */
export function ask(
  { url, adminToken }: LocalKubernetes,
  method: string,
  target: string,
  body?: unknown,
  token: string | undefined = adminToken,
): Promise<Response> {
  return fetch(url + target, {
    method,
    headers: {
      'content-type': method === 'PATCH' ? 'application/merge-patch+json' : 'application/json',
      ...(token === '' ? {} : { authorization: `Bearer ${token}` }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
}

/** Opens a watch of all ImageRepositories; the query is added to `watch=1`. */
export async function watch(kubernetes: LocalKubernetes, query = ''): Promise<OpenWatch> {
  const target = `/apis/image.toolkit.fluxcd.io/v1/imagerepositories?watch=1&${query}`;
  const response = await ask(kubernetes, 'GET', target);
  assert.equal(response.status, 200);
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  const decoder = new TextDecoder();
  let rest = '';
  async function next(): Promise<string | undefined> {
    for (;;) {
      const end = rest.indexOf('\n');
      if (end >= 0) {
        const line = rest.slice(0, end);
        rest = rest.slice(end + 1);
        return line;
      }
      const { value, done } = await reader.read();
      if (done) return rest === '' ? undefined : rest;
      rest += decoder.decode(value, { stream: true });
    }
  }
  return {
    next,
    events: async (count) => {
      const seen: SeenEvent[] = [];
      while (seen.length < count) {
        const line = await next();
        assert.ok(line !== undefined, 'the watch ended');
        seen.push(JSON.parse(line) as SeenEvent);
      }
      return seen;
    },
    close: () => reader.cancel(),
  };
}
