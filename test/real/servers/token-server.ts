import { generateKeyPairSync, randomUUID, sign, type KeyObject } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Who may do what at the registry whose tokens this server gives. */
export interface TokenServerOptions {
  /** The one account, which may pull and push. */
  readonly username: string;
  readonly password: string;
  /** Whether a request without credentials gets a token that may pull; otherwise it gets a 401. Default true. */
  readonly anonymousPull?: boolean;
  /** Lifetime of a token. Default 300, the one of docker.io's tokens. */
  readonly lifetimeSeconds?: number;
}

/** A running token server. */
export interface TokenServer {
  /** URL that the registry names as `realm`. */
  readonly realm: string;
  readonly service: string;
  readonly issuer: string;
  /** The keys it signs with, as a JWK set document (RFC 7517). */
  readonly jwks: string;
  /** Each request for a token so far: its scopes, and who asked (empty: nobody). */
  readonly requests: readonly TokenRequest[];
  stop(): Promise<void>;
}

/** One request for a token. */
export interface TokenRequest {
  readonly scopes: readonly string[];
  readonly username: string;
}

interface Access {
  readonly type: string;
  readonly name: string;
  readonly actions: readonly string[];
}

const service = 'registry.test';
const issuer = 'token-server.test';
const keyId = 'signing-key';

/**
 * Starts the authorization service of Distribution's token authentication (its document "Token
 * Authentication Specification") on 127.0.0.1: GET with Basic credentials or none, answered by a JWT
 * signed with ES256. It is no stand-in for a registry: a real one checks these tokens.
 */
export async function startTokenServer(options: TokenServerOptions): Promise<TokenServer> {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const requests: TokenRequest[] = [];
  const server = createServer((request, response) => {
    answer(options, privateKey, requests, request, response);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    realm: `http://127.0.0.1:${port}/token`,
    service,
    issuer,
    jwks: JSON.stringify({
      keys: [{ ...publicKey.export({ format: 'jwk' }), kid: keyId, alg: 'ES256', use: 'sig' }],
    }),
    requests,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  };
}

function answer(
  options: TokenServerOptions,
  key: KeyObject,
  requests: TokenRequest[],
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const url = new URL(request.url ?? '/', 'http://127.0.0.1');
  const scopes = url.searchParams.getAll('scope').flatMap((scope) => scope.split(' '));
  const { authorization } = request.headers;
  requests.push({ scopes, username: usernameOf(authorization) });

  const expected = Buffer.from(`${options.username}:${options.password}`).toString('base64');
  const known = authorization === `Basic ${expected}`;
  const anonymous = authorization === undefined && (options.anonymousPull ?? true);
  response.setHeader('content-type', 'application/json');
  if (url.pathname !== '/token' || !(known || anonymous)) {
    response.statusCode = url.pathname === '/token' ? 401 : 404;
    response.end(JSON.stringify({ errors: [{ code: 'UNAUTHORIZED' }] }));
    return;
  }
  const granted = scopes.flatMap((scope) => grant(scope, known));
  const lifetimeSeconds = options.lifetimeSeconds ?? 300;
  const token = issueToken(key, granted, known ? options.username : '', lifetimeSeconds);
  response.end(JSON.stringify({ token, expires_in: lifetimeSeconds }));
}

function usernameOf(authorization: string | undefined): string {
  const [, encoded = ''] = /^Basic (.+)$/.exec(authorization ?? '') ?? [];
  return Buffer.from(encoded, 'base64').toString().split(':')[0] ?? '';
}

/** A scope is `type:name:action,action`, where a name may hold a colon (a host's port). */
function grant(scope: string, mayPush: boolean): readonly Access[] {
  const [, type, name, actions] = /^([a-z]+):(.+):([a-z*,]+)$/.exec(scope) ?? [];
  if (type === undefined || name === undefined || actions === undefined) return [];
  return [{ type, name, actions: actions.split(',').filter((it) => mayPush || it === 'pull') }];
}

function issueToken(
  key: KeyObject,
  access: readonly Access[],
  subject: string,
  lifetimeSeconds: number,
): string {
  const now = Math.floor(Date.now() / 1000);
  const claims = {
    iss: issuer,
    sub: subject,
    aud: service,
    iat: now,
    nbf: now,
    exp: now + lifetimeSeconds,
    jti: randomUUID(),
    access,
  };
  const signed = [{ typ: 'JWT', alg: 'ES256', kid: keyId }, claims]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .join('.');
  const signature = sign('sha256', Buffer.from(signed), { key, dsaEncoding: 'ieee-p1363' });
  return `${signed}.${signature.toString('base64url')}`;
}
