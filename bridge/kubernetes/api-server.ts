import http, { type IncomingMessage, type OutgoingHttpHeaders } from 'node:http';
import https, { type RequestOptions } from 'node:https';

import { defined } from '../../functions/contract/fields.ts';
import { errorText, MirrorError, printable } from '../../functions/errors.ts';
import { loadKubeAccess, type KubeAccess } from './kubeconfig.ts';
import { ManagedFieldsFilter } from './json-stream.ts';
import { CredentialSource } from './user-credentials.ts';

/** HTTP methods that the bridge uses, and the type of the body each sends. */
const CONTENT_TYPES = {
  GET: undefined,
  POST: 'application/json',
  PUT: 'application/json',
  PATCH: 'application/merge-patch+json',
} as const;

/** See {@link CONTENT_TYPES}. */
export type ApiMethod = keyof typeof CONTENT_TYPES;

/** One answer of the API server, whatever its status. */
export interface ApiAnswer {
  readonly status: number;
  /** The decoded JSON document, or the text where it is none. */
  readonly body: unknown;
  /** How long the API server asks to be left alone (`Retry-After`), ms; at most 5 minutes. */
  readonly retryAfterMs?: number | undefined;
}

/** How an answer is waited for. */
export interface SendOptions {
  /** Default 30,000. */
  readonly timeoutMs?: number | undefined;
  /** Ends the wait at once. */
  readonly signal?: AbortSignal | undefined;
}

/** Access to one API server. */
export interface ApiServer {
  /** `https://HOST[:PORT]`. */
  readonly url: string;
  /** Namespace of the service account or of the kubeconfig's context. */
  readonly namespace: string | undefined;
  /**
   * Sends one request; a 401 is asked again once with credentials read anew.
   * @throws MirrorError `NETWORK`, `TIMEOUT`, `RESPONSE_TOO_LARGE`, `CREDENTIALS_UNAVAILABLE`,
   *   `KUBECONFIG_INVALID` where it was changed and is none any more; `ABORTED`
   */
  send(method: ApiMethod, path: string, body?: object, options?: SendOptions): Promise<ApiAnswer>;
  /**
   * Opens a GET that answers for as long as it is read. The caller destroys it; `signal` does too.
   * An answer other than 200 is read and returned as one.
   */
  open(path: string, signal: AbortSignal): Promise<IncomingMessage | ApiAnswer>;
  /** Closes the connections that are kept. */
  close(): void;
}

/** How long an answer may take: list pages of 500 large objects arrive in a few seconds. */
const ANSWER_TIMEOUT_MS = 30_000;
/** Largest answer that is read. A page of 500 objects has some 4 MiB; etcd takes 1.5 MiB each. */
const MAX_ANSWER_BYTES = 256 * 1024 * 1024;
/** As client-go: a broken connection is noticed by the kernel. */
const KEEP_ALIVE_MS = 30_000;

/** Longest `Retry-After` that is heeded: what is back by then must not wait longer for us. */
const MAX_RETRY_AFTER_MS = 300_000;

/**
 * The API server of a kubeconfig, of the pod or of the home folder; see {@link loadKubeAccess}.
 * @throws MirrorError `KUBECONFIG_INVALID`
 */
export function connectApiServer(
  kubeconfig: string | undefined,
  env: Readonly<Record<string, string | undefined>> = process.env,
): ApiServer {
  const load = (): KubeAccess => loadKubeAccess(kubeconfig, env);
  let access = load();
  const source = new CredentialSource();
  const agents = {
    http: new http.Agent({ keepAlive: true, keepAliveMsecs: KEEP_ALIVE_MS }),
    https: new https.Agent({ keepAlive: true, keepAliveMsecs: KEEP_ALIVE_MS }),
  };
  const server = access.config.getCurrentCluster()?.server ?? '';

  async function request(
    method: ApiMethod,
    path: string,
    body: object | undefined,
    signal: AbortSignal,
  ): Promise<IncomingMessage> {
    const url = new URL(`${server.replace(/\/$/, '')}${path}`);
    const { config } = access;
    const options = await credentialsInTime(withCredentials(access, source), path, signal);
    // The proxy that a kubeconfig names stands; else connections are kept, keyed by certificates.
    if (config.getCurrentCluster()?.proxyUrl === undefined) {
      options.agent = url.protocol === 'http:' ? agents.http : agents.https;
    }
    return exchange(url, method, options, body, signal);
  }

  /** Asks, and where the credentials are refused once more with those of a fresh reading. */
  async function authorized(
    method: ApiMethod,
    path: string,
    body: object | undefined,
    signal: AbortSignal,
  ): Promise<IncomingMessage> {
    const response = await request(method, path, body, signal);
    if (response.statusCode !== 401) return response;
    response.resume();
    // A rotated token, certificate or file is behind a new reading.
    access = load();
    source.forget();
    return request(method, path, body, signal);
  }

  return {
    url: server,
    namespace: access.config.getContextObject(access.config.getCurrentContext())?.namespace,
    async send(method, path, body, options = {}) {
      const { timeoutMs = ANSWER_TIMEOUT_MS, signal } = options;
      const timeout = AbortSignal.timeout(timeoutMs);
      const either = signal === undefined ? timeout : AbortSignal.any([signal, timeout]);
      return readAnswer(await authorized(method, path, body, either), path);
    },
    async open(path, signal) {
      const response = await authorized('GET', path, undefined, signal);
      return response.statusCode === 200 ? response : readAnswer(response, path);
    },
    close() {
      source.close();
      agents.http.destroy();
      agents.https.destroy();
    },
  };
}

/** Credentials, waited for no longer than the signal says: a token file or a plugin may hang. */
async function credentialsInTime(
  promise: Promise<RequestOptions>,
  path: string,
  signal: AbortSignal,
): Promise<RequestOptions> {
  const { promise: ended, reject } = Promise.withResolvers<never>();
  const end = (): void => {
    const fault = connectionError(path, signal.reason);
    reject(fault.code === 'ABORTED' ? fault : unavailable('did not come in time'));
  };
  if (signal.aborted) end();
  signal.addEventListener('abort', end, { once: true });
  try {
    return await Promise.race([promise, ended]);
  } finally {
    signal.removeEventListener('abort', end);
  }
}

function unavailable(what: string, cause?: unknown): MirrorError {
  return new MirrorError('CREDENTIALS_UNAVAILABLE', `the credentials for the API server ${what}`, {
    operation: 'get credentials for the API server',
    side: 'api-server',
    cause,
  });
}

async function withCredentials(
  { config, credentials }: KubeAccess,
  source: CredentialSource,
): Promise<RequestOptions> {
  const options: RequestOptions = {};
  const { token, certificate, key } = await source.get(credentials);
  const user = config.getCurrentUser();
  if (user !== null) {
    // The library builds headers, certificates and a proxy's agent from what the user has.
    Object.assign(user, {
      ...(token === undefined ? {} : { token }),
      ...(certificate === undefined ? {} : { certData: base64(certificate), certFile: undefined }),
      ...(key === undefined ? {} : { keyData: base64(key), keyFile: undefined }),
    });
  }
  try {
    await config.applyToHTTPSOptions(options);
  } catch (error) {
    throw unavailable('cannot be read', error);
  }
  return options;
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}

function exchange(
  url: URL,
  method: ApiMethod,
  options: RequestOptions,
  body: object | undefined,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const contentType = CONTENT_TYPES[method];
  return new Promise((resolve, reject) => {
    const request = (url.protocol === 'http:' ? http : https).request(
      url,
      {
        ...options,
        method,
        signal,
        headers: {
          ...(options.headers as OutgoingHttpHeaders | undefined),
          accept: 'application/json',
          'accept-encoding': 'identity',
          'user-agent': 'imagerepo-mirror-bridge',
          ...defined({ 'content-type': contentType }),
        },
      },
      resolve,
    );
    request.once('error', (error) => {
      reject(connectionError(url.pathname, error));
    });
    request.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

async function readAnswer(response: IncomingMessage, path: string): Promise<ApiAnswer> {
  const filter = new ManagedFieldsFilter();
  const kept: Buffer[] = [];
  let sizeBytes = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      const bytes = filter.push(chunk);
      kept.push(bytes);
      sizeBytes += bytes.length;
      if (sizeBytes > MAX_ANSWER_BYTES) {
        throw new MirrorError('RESPONSE_TOO_LARGE', 'the API server answered with over 256 MiB', {
          operation: `GET ${pathOf(path)}`,
          side: 'api-server',
        });
      }
    }
  } catch (error) {
    throw connectionError(path, error);
  }
  const text = Buffer.concat([...kept, filter.end()]).toString('utf8');
  return {
    status: response.statusCode ?? 0,
    body: decoded(text),
    retryAfterMs: retryAfterMs(response.headers['retry-after']),
  };
}

/** RFC 9110 §10.2.3: seconds, as Kubernetes writes it, or a date, as a proxy may. */
function retryAfterMs(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const ms = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return ms > 0 ? Math.min(ms, MAX_RETRY_AFTER_MS) : undefined;
}

function decoded(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

/** A failed connection as a fault; only name and message of the error go into it. */
export function connectionError(path: string, error: unknown): MirrorError {
  if (error instanceof MirrorError) return error;
  const name = error instanceof Error ? error.name : '';
  const code = error instanceof Error && 'code' in error ? String(error.code) : name;
  const timedOut = name === 'TimeoutError' || causeName(error) === 'TimeoutError';
  if (!timedOut && name === 'AbortError') {
    return new MirrorError('ABORTED', 'the request was ended', {
      operation: `ask the API server for ${pathOf(path)}`,
    });
  }
  return new MirrorError(
    timedOut ? 'TIMEOUT' : 'NETWORK',
    timedOut
      ? 'the API server did not answer in time'
      : `the connection to the API server failed: ${printable(code)}: ${printable(wordsOf(code, error))}`,
    { operation: `ask the API server for ${pathOf(path)}`, side: 'api-server' },
  );
}

/**
 * What an answer other than success means: `ACCESS_DENIED` with the API server's own words, which
 * name user, verb and resource, `UNAUTHORIZED`, `NOT_FOUND`, `RATE_LIMITED`, else `WATCH_FAILED`.
 */
export function answerError(answer: ApiAnswer, operation: string): MirrorError {
  const { status, body, retryAfterMs } = answer;
  const message =
    typeof body === 'object' && body !== null && 'message' in body
      ? String(body.message)
      : typeof body === 'string'
        ? body
        : '';
  const code =
    status === 401
      ? 'UNAUTHORIZED'
      : status === 403
        ? 'ACCESS_DENIED'
        : status === 404
          ? 'NOT_FOUND'
          : status === 429
            ? 'RATE_LIMITED'
            : 'WATCH_FAILED';
  const said = message === '' ? '' : `: ${printable(message).trim()}`;
  return new MirrorError(code, `${operation} was answered ${status}${said}`, {
    operation,
    side: 'api-server',
    status,
    retryAfterMs,
  });
}

/** What OpenSSL makes of an answer that is no TLS. */
const PLAIN_HTTP = /wrong.version.number|packet.length.too.long|http.request/i;

/** OpenSSL's text of a handshake names files and lines of its own. */
function wordsOf(code: string, error: unknown): string {
  const text = errorText(error);
  if (code !== 'EPROTO' && !code.startsWith('ERR_SSL_')) return text;
  // OpenSSL names its library, then the reason, then places in its source.
  const reason = /SSL routines:[^:]*:([^:]+)/.exec(text)?.[1] ?? code;
  return PLAIN_HTTP.test(`${code} ${reason}`)
    ? 'the TLS handshake failed: does the port of the server speak https?'
    : `the TLS handshake failed: ${reason}`;
}

function causeName(error: unknown): string {
  return error instanceof Error && error.cause instanceof Error ? error.cause.name : '';
}

function pathOf(path: string): string {
  return path.split('?')[0] ?? path;
}
