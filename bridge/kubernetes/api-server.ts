import { accessSync, constants } from 'node:fs';
import http, { type IncomingMessage, type OutgoingHttpHeaders } from 'node:http';
import https, { type RequestOptions } from 'node:https';
import { homedir } from 'node:os';
import { join } from 'node:path';

import { KubeConfig } from '@kubernetes/client-node';

import { Fault, printable } from '../../functions/fault.ts';
import { ManagedFieldsFilter } from './managed-fields.ts';

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
}

/** Access to one API server. */
export interface ApiServer {
  /** `https://HOST[:PORT]`. */
  readonly url: string;
  /** Namespace of the service account or of the kubeconfig's context. */
  readonly namespace: string | undefined;
  /**
   * Sends one request; a 401 is asked again once with credentials read anew.
   * @param timeoutMs default 30,000
   * @throws Fault `NETWORK`, `TIMEOUT`, `RESPONSE_TOO_LARGE`, `CREDENTIALS_UNAVAILABLE`
   */
  send(method: ApiMethod, path: string, body?: object, timeoutMs?: number): Promise<ApiAnswer>;
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

/** Reads a kubeconfig; called again whenever the API server refuses what it had. */
export type KubeConfigLoader = () => KubeConfig;

/**
 * Finds the API server: of the kubeconfig file where one is named, else of the pod's service
 * account, else of `~/.kube/config`.
 * @throws Fault `KUBECONFIG_INVALID`
 */
export function connectApiServer(
  kubeconfig: string | undefined,
  env: Readonly<Record<string, string | undefined>> = process.env,
): ApiServer {
  return apiServerOf(() => loadKubeConfig(kubeconfig, env));
}

/** The API server of a kubeconfig's current context. @throws Fault `KUBECONFIG_INVALID` */
export function apiServerOf(load: KubeConfigLoader): ApiServer {
  let config = checked(load());
  const agents = {
    http: new http.Agent({ keepAlive: true, keepAliveMsecs: KEEP_ALIVE_MS }),
    https: new https.Agent({ keepAlive: true, keepAliveMsecs: KEEP_ALIVE_MS }),
  };
  const server = serverOf(config);

  async function request(
    method: ApiMethod,
    path: string,
    body: object | undefined,
    signal: AbortSignal,
  ): Promise<IncomingMessage> {
    const url = new URL(`${server.replace(/\/$/, '')}${path}`);
    const options = await withCredentials(config);
    // A proxy's agent stands; else connections are kept, keyed by the certificates of the request.
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
    // A token that is read from a file is kept for a minute: a rotated one is behind a new reading.
    config = checked(load());
    return request(method, path, body, signal);
  }

  return {
    url: server,
    namespace: config.getContextObject(config.getCurrentContext())?.namespace,
    async send(method, path, body, timeoutMs = ANSWER_TIMEOUT_MS) {
      const signal = AbortSignal.timeout(timeoutMs);
      return readAnswer(await authorized(method, path, body, signal), path);
    },
    async open(path, signal) {
      const response = await authorized('GET', path, undefined, signal);
      return response.statusCode === 200 ? response : readAnswer(response, path);
    },
    close() {
      agents.http.destroy();
      agents.https.destroy();
    },
  };
}

function loadKubeConfig(
  file: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): KubeConfig {
  const config = new KubeConfig();
  const home = join(homedir(), '.kube', 'config');
  try {
    if (file !== undefined) {
      config.loadFromFile(file);
    } else if ((env['KUBERNETES_SERVICE_HOST'] ?? '') !== '') {
      config.loadFromCluster();
    } else if (isReadable(home)) {
      config.loadFromFile(home);
    } else {
      throw new Error('no --kubeconfig, no service account and no ~/.kube/config');
    }
  } catch (error) {
    throw invalidKubeconfig(file, error instanceof Error ? error.message : String(error));
  }
  return config;
}

function checked(config: KubeConfig): KubeConfig {
  const cluster = config.getCurrentCluster();
  if (cluster === null) throw invalidKubeconfig(undefined, 'it has no current context');
  if (config.getCurrentUser() === null)
    throw invalidKubeconfig(undefined, 'its context names no user');
  if (!URL.canParse(cluster.server)) throw invalidKubeconfig(undefined, 'its server is no URL');
  if (cluster.server.startsWith('http:')) {
    // As kubectl does: the library refuses http unless TLS, which there is none of, goes unverified.
    Object.assign(cluster, { skipTLSVerify: true });
  }
  return config;
}

function serverOf(config: KubeConfig): string {
  return config.getCurrentCluster()?.server ?? '';
}

async function withCredentials(config: KubeConfig): Promise<RequestOptions> {
  const options: RequestOptions = {};
  try {
    await config.applyToHTTPSOptions(options);
  } catch (error) {
    throw new Fault(
      'CREDENTIALS_UNAVAILABLE',
      'the credentials for the API server cannot be read',
      {
        operation: 'read kubeconfig',
        cause: error,
      },
    );
  }
  return options;
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
          'user-agent': 'imagerepo-mirror-bridge',
          ...(contentType === undefined ? {} : { 'content-type': contentType }),
        },
      },
      resolve,
    );
    request.once('error', (error) => {
      reject(connectionFault(url.pathname, error));
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
        throw new Fault('RESPONSE_TOO_LARGE', 'the API server answered with over 256 MiB', {
          operation: `GET ${pathOf(path)}`,
        });
      }
    }
  } catch (error) {
    response.destroy();
    throw connectionFault(path, error);
  }
  const text = Buffer.concat([...kept, filter.end()]).toString('utf8');
  return { status: response.statusCode ?? 0, body: decoded(text) };
}

function decoded(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

/** A failed connection as a fault; only name and message of the error go into it. */
export function connectionFault(path: string, error: unknown): Fault {
  if (error instanceof Fault) return error;
  const name = error instanceof Error ? error.name : '';
  const code = error instanceof Error && 'code' in error ? String(error.code) : name;
  const timedOut = name === 'TimeoutError' || causeName(error) === 'TimeoutError';
  const message = error instanceof Error ? error.message : String(error);
  return new Fault(
    timedOut ? 'TIMEOUT' : 'NETWORK',
    timedOut
      ? 'the API server did not answer in time'
      : `the connection to the API server failed: ${printable(code)}: ${printable(message)}`,
    { operation: `ask the API server for ${pathOf(path)}` },
  );
}

/**
 * What an answer other than success means: `ACCESS_DENIED` with the API server's own words, which
 * name user, verb and resource, `UNAUTHORIZED`, `NOT_FOUND`, `RATE_LIMITED`, else `WATCH_FAILED`.
 */
export function answerFault(answer: ApiAnswer, operation: string): Fault {
  const { status, body } = answer;
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
  return new Fault(code, `${operation} was answered ${status}${said}`, { operation, status });
}

function causeName(error: unknown): string {
  return error instanceof Error && error.cause instanceof Error ? error.cause.name : '';
}

function pathOf(path: string): string {
  return path.split('?')[0] ?? path;
}

function isReadable(file: string): boolean {
  try {
    accessSync(file, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}

function invalidKubeconfig(file: string | undefined, reason: string): Fault {
  const which = file === undefined ? 'the kubeconfig' : `kubeconfig ${file}`;
  return new Fault('KUBECONFIG_INVALID', `${which} cannot be used: ${printable(reason)}`, {
    operation: 'read kubeconfig',
    field: '--kubeconfig',
  });
}
