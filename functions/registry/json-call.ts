import type { Transport } from './transport.ts';
import { readBody, readErrorBody } from './body.ts';

/** A small call of an API beyond registries. */
export interface JsonRequest {
  readonly method: 'GET' | 'POST';
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly body?: unknown;
}

/** What it answers, parsed; `undefined` where the body is no JSON. */
export interface JsonAnswer {
  readonly status: number;
  readonly body: unknown;
}

/**
 * Makes one call: no redirects, no retries, at most 4 MiB.
 * @throws MirrorError of the way there: `NETWORK`, `TIMEOUT`, `ADDRESS_REFUSED`, `RESPONSE_TOO_LARGE`
 */
export type JsonCall = (request: JsonRequest, signal: AbortSignal) => Promise<JsonAnswer>;

const BUDGET_MS = 30_000;
const MAX_BYTES = 4 * 1024 * 1024;

/** Calls over a transport. */
export function jsonCall(transport: Transport): JsonCall {
  return async ({ method, url, headers, body }, signal) => {
    const payload = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    const response = await transport.send(
      {
        method,
        url: new URL(url),
        headers: {
          accept: 'application/json',
          ...(payload && {
            'content-type': 'application/json',
            'content-length': String(payload.length),
          }),
          ...headers,
        },
        body: payload,
        budgetMs: BUDGET_MS,
      },
      signal,
    );
    const bytes =
      response.status < 400 ? await readBody(response, MAX_BYTES) : await readErrorBody(response);
    return { status: response.status, body: parse(bytes) };
  };
}

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return undefined;
  }
}
