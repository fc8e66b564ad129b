import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTcpServer, type AddressInfo, type Socket } from 'node:net';
import type { TestContext } from 'node:test';

import {
  ANONYMOUS,
  type Credential,
  type Credentials,
} from '../../../functions/auth/credentials.ts';
import { googleHosts } from '../../../functions/auth/google.ts';
import type { ErrorCode, MirrorError } from '../../../functions/errors.ts';
import type {
  DestinationRepository,
  ManifestBytes,
  SourceRepository,
} from '../../../functions/mirror/ports.ts';
import { digestOf } from '../../../functions/oci/digest.ts';
import type { ExchangeReport } from '../../../functions/registry/exchange.ts';
import {
  createRegistries,
  type Registries,
  type RegistriesOptions,
} from '../../../functions/registry/registries.ts';
import {
  openTransport,
  type Transport,
  type TransportOptions,
} from '../../../functions/registry/transport.ts';
import type { Timing } from '../../../functions/concurrency.ts';
import { NEVER, rejection as anyRejection } from '../../faults.ts';
import type { AnswerFault } from '../../stand-ins/registry/fault-rule.ts';
import {
  startRegistry,
  type LocalRegistry,
  type RegistryOptions,
} from '../../stand-ins/registry/registry.ts';

export { NEVER };

/** Retries as in production, without its waits. */
export const QUICK = { maxAttempts: 4, maxThrottledAttempts: 6, baseMs: 2, maxMs: 10 };

const EMPTY_INDEX = Buffer.from('{"schemaVersion":2,"manifests":[]}');

/** A manifest that names nothing. */
export const INDEX: ManifestBytes = {
  mediaType: 'application/vnd.oci.image.index.v1+json',
  digest: digestOf(EMPTY_INDEX),
  bytes: EMPTY_INDEX,
};

/** The Google access token that the destination stand-in takes. */
export const ACCESS_TOKEN = 'access-token';

/** One request to a {@link serve}d server. */
export interface Seen {
  readonly method: string;
  readonly url: string;
  readonly authorization: string | undefined;
  readonly headers: IncomingMessage['headers'];
}

/** A tiny server with what it saw. */
export interface Served {
  /** `127.0.0.1:PORT`, unless another address was asked for. */
  readonly host: string;
  readonly url: string;
  readonly seen: Seen[];
  /** Connections accepted so far. */
  readonly connections: () => number;
}

/** Serves a handler on an address of this machine until the test ends. */
export async function serve(
  t: TestContext,
  handler: (request: IncomingMessage, response: ServerResponse) => void,
  address = '127.0.0.1',
): Promise<Served> {
  const seen: Seen[] = [];
  let connections = 0;
  const server = createServer((request, response) => {
    seen.push({
      method: request.method ?? '',
      url: request.url ?? '',
      authorization: request.headers.authorization,
      headers: request.headers,
    });
    request.on('error', () => undefined);
    response.on('error', () => undefined);
    handler(request, response);
  });
  server.on('connection', () => (connections += 1));
  server.listen(0, address);
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const name = address.includes(':') ? `[${address}]` : address;
  const host = `${name}:${(server.address() as AddressInfo).port}`;
  return { host, url: `http://${host}`, seen, connections: () => connections };
}

/** A server of bare sockets until the test ends; its URL. */
export async function tcp(t: TestContext, onSocket: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createTcpServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    onSocket(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

/** A registry stand-in until the test ends. */
export async function registry(
  t: TestContext,
  options: RegistryOptions = {},
): Promise<LocalRegistry> {
  const started = await startRegistry(options);
  t.after(() => started.close());
  return started;
}

/** A stand-in of Artifact Registry that takes {@link ACCESS_TOKEN}. */
export function artifactRegistry(
  t: TestContext,
  switches: RegistryOptions['switches'] = {},
): Promise<LocalRegistry> {
  const verify = (token: string): { email: string } | undefined =>
    token === ACCESS_TOKEN ? { email: 'mirror@example.com' } : undefined;
  return registry(t, {
    dialect: 'artifact-registry',
    google: { accessTokens: { verify } },
    switches,
  });
}

/** What a stand-in that is told so answers: this status, and an error document of this code. */
export function answering(
  status: number,
  code?: string,
  more: Partial<AnswerFault> = {},
): AnswerFault {
  const errors = code === undefined ? [] : [{ code, message: 'no' }];
  return { kind: 'answer', status, errors, ...more };
}

/** Credentials by host. */
export function credentials(byHost: Readonly<Record<string, Credential>>): Credentials & {
  readonly refusals: string[];
} {
  const refusals: string[] = [];
  return {
    refusals,
    credentialFor: (host) => Promise.resolve(byHost[host]),
    accountAtRealm: (host) => Promise.resolve(byHost[host]),
    refused: (host) => refusals.push(host),
  };
}

/** {@link ACCESS_TOKEN} for these hosts, on either side. */
export function googleToken(hosts: readonly string[]): Credentials {
  return credentials(
    Object.fromEntries(hosts.map((host) => [host, { kind: 'google', token: ACCESS_TOKEN }])),
  );
}

/** Registries that may speak to the given hosts, with what they report. */
export function open(
  t: TestContext,
  hosts: readonly string[],
  options: Partial<RegistriesOptions> & { readonly google?: readonly string[] } = {},
): Registries & { readonly exchanges: ExchangeReport[] } {
  const exchanges: ExchangeReport[] = [];
  const isGoogle = googleHosts(options.google ?? []);
  const google = googleToken(options.google ?? []);
  const tokens = { accessToken: () => Promise.resolve(ACCESS_TOKEN) };
  const registries = createRegistries({
    credentials: (side) => (side === 'source' ? ANONYMOUS : google),
    isGoogle,
    googleTokens: tokens,
    privateHosts: hosts,
    retryPolicy: QUICK,
    random: () => 0.5,
    onExchange: (report) => exchanges.push(report),
    ...options,
  });
  t.after(() => {
    registries.close();
  });
  return Object.assign(registries, { exchanges });
}

/** A repository of registries on loopback, which speak plain http. */
export function sourceOf(registries: Registries, host: string, path = 'org/app'): SourceRepository {
  return registries.source({ host, path }, { insecure: true });
}

/** As {@link sourceOf}, on the other side. */
export function destinationOf(
  registries: Registries,
  host: string,
  path = 'org/app',
): DestinationRepository {
  return registries.destination({ host, path }, { insecure: true });
}

/** The repository `org/app` of a host, seen by a process that knows nothing yet. */
export function sourceAt(
  t: TestContext,
  host: string,
  options?: Parameters<typeof open>[2],
): SourceRepository {
  return sourceOf(open(t, [host], options), host);
}

/** As {@link sourceAt}, on the other side. */
export function destinationAt(
  t: TestContext,
  host: string,
  options?: Parameters<typeof open>[2],
): DestinationRepository {
  return destinationOf(open(t, [host], options), host);
}

/** A transport that speaks to loopback, until the test ends. */
export function localTransport(t: TestContext, options: Partial<TransportOptions> = {}): Transport {
  const addresses = { privateHosts: new Set<string>(), loopback: true };
  const transport = openTransport({ addresses, ...options });
  t.after(() => {
    transport.close();
  });
  return transport;
}

/** Answers 401 with a challenge whose realm is `/token` of the server itself. */
export function wantToken(
  request: IncomingMessage,
  response: ServerResponse,
  parameters = '',
): void {
  const realm = `Bearer realm="http://${request.headers.host ?? ''}/token"${parameters}`;
  response.writeHead(401, { 'www-authenticate': realm }).end();
}

/** Refused before anything is asked. */
const UNASKED = new Set<ErrorCode>(['TAG_INVALID', 'DIGEST_INVALID']);

/** Waits for a registry's fault of this code, which says what was asked, of which side and where. */
export async function rejection(promise: Promise<unknown>, code: ErrorCode): Promise<MirrorError> {
  const fault = await anyRejection(promise, code);
  const { operation, side, url } = fault;
  const isLocated = operation !== undefined && side !== undefined && url !== undefined;
  assert.ok(isLocated || UNASKED.has(code), fault.stack);
  return fault;
}

/** Time that passes only when a test says so. */
export interface FakeTiming extends Timing {
  /** Lets time pass, timers in their order, and what waits for them run. */
  pass(ms: number): Promise<void>;
}

/** Starts at `startMs`. */
export function fakeTiming(startMs = 1_000_000): FakeTiming {
  let nowMs = startMs;
  const timers = new Set<{ readonly atMs: number; readonly action: () => void }>();
  return {
    now: () => nowMs,
    setTimer(delayMs, action) {
      const timer = { atMs: nowMs + delayMs, action };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    async pass(ms) {
      const untilMs = nowMs + ms;
      for (;;) {
        const [next] = [...timers]
          .filter(({ atMs }) => atMs <= untilMs)
          .sort((a, b) => a.atMs - b.atMs);
        if (next === undefined) break;
        timers.delete(next);
        nowMs = Math.max(nowMs, next.atMs);
        next.action();
        await settle();
      }
      nowMs = untilMs;
      await settle();
    },
  };
}

/** Lets everything run that waits for nothing. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** Reads a stream whole. */
export async function bytesOf(stream: AsyncIterable<Buffer> | undefined): Promise<Buffer> {
  if (stream === undefined) throw new Error('nothing to read');
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}
