import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { describe, it, type TestContext } from 'node:test';

import type { Credential } from '../../../functions/auth/credentials.ts';
import { openClient } from '../../../functions/registry/client.ts';
import type { Authorizer } from '../../../functions/registry/authorizer.ts';
import { AdaptiveLimiter } from '../../../functions/registry/limiter.ts';
import { digestOf } from '../../../functions/oci/digest.ts';
import type { ClientParts } from '../../../functions/registry/request.ts';
import { SYSTEM_TIMING } from '../../../functions/concurrency.ts';
import { front } from './odd-registries.ts';
import {
  credentials,
  destinationAt,
  destinationOf,
  INDEX,
  localTransport,
  NEVER,
  open,
  QUICK,
  registry,
  rejection,
  serve,
  sourceAt,
  sourceOf,
  wantToken,
} from './setting.ts';

/** Parts of a client that would present a token to whomever it asks. */
function eagerParts(t: TestContext, registry: string): ClientParts {
  const used = {
    header: 'Bearer eager',
    path: 'org/app',
    way: 'preemptive',
    settled: () => undefined,
  } as const;
  const authorizer: Partial<Authorizer> = {
    authorize: () => Promise.resolve(used),
    accepted: () => undefined,
  };
  return {
    side: 'source',
    registry: new URL(registry),
    transport: localTransport(t),
    authorizer: authorizer as Authorizer,
    limiterOf: () => new AdaptiveLimiter({ timing: SYSTEM_TIMING }),
    timing: SYSTEM_TIMING,
    retryPolicy: QUICK,
    random: () => 0,
    onExchange: () => undefined,
    deadlineAtMs: undefined,
    anonymousAt: () => assert.fail('no other registry'),
  };
}

describe('authorization of a request', () => {
  it('guard request-origin: presents authorization at the registry’s own origin only', async (t) => {
    const server = await serve(t, (_request, response) => response.end());
    const other = await serve(t, (_request, response) => response.end());
    const parts = eagerParts(t, server.url);
    for (const target of ['/v2/', new URL('/v2/', other.url)]) {
      const request = { kind: 'ping', operation: 'ping', method: 'GET', target } as const;
      const scope = { path: 'org/app', actions: 'pull' } as const;
      await openClient(parts).ask({ ...request, scope }, NEVER);
    }
    assert.equal(server.seen[0]?.authorization, 'Bearer eager');
    assert.equal(other.seen.length, 1);
    assert.equal(other.seen[0]?.authorization, undefined);
  });

  it('guard redirect-authorization: presents nothing at a host that a redirect leads to', async (t) => {
    const thief = await serve(t, (_request, response) => {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="give me"' }).end();
    });
    const server = await serve(t, (request, response) => {
      if (request.headers.authorization === undefined) {
        response.writeHead(401, { 'www-authenticate': 'Basic realm="r"' }).end();
      } else response.writeHead(302, { location: `${thief.url}/x` }).end();
    });
    const basic = { kind: 'basic', username: 'u', password: 'p' } as const;
    const known = credentials({ [server.host]: basic, [thief.host]: basic });
    const registries = open(t, [server.host, thief.host], { credentials: () => known });
    const one = sourceOf(registries, server.host);
    await rejection(one.listTags(NEVER), 'UNAUTHORIZED');
    assert.deepEqual(
      thief.seen.map(({ authorization }) => authorization),
      [undefined],
    );
  });

  it('follows a blob’s redirects up to five', async (t) => {
    let hops = 0;
    const server = await serve(t, (_request, response) => {
      hops += 1;
      response.writeHead(302, { location: `/hop-${hops}` }).end();
    });
    const one = sourceAt(t, server.host);
    await rejection(one.listTags(NEVER), 'REDIRECT_REFUSED');
    assert.equal(hops, 6);
  });

  it('guard redirect-method: follows no redirect of what it sends to another method, or elsewhere', async (t) => {
    for (const [status, location] of [
      [302, '/elsewhere'],
      [307, 'http://127.0.0.1:9/elsewhere'],
    ] as const) {
      const server = await serve(t, (request, response) => {
        request.resume().on('end', () => response.writeHead(status, { location }).end());
      });
      const one = destinationAt(t, server.host);
      const blob = { mediaType: 'x', digest: `sha256:${'0'.repeat(64)}`, sizeBytes: 1 };
      const unopened = (): Promise<never> => Promise.reject(new Error('no bytes are needed'));
      await rejection(one.uploadBlob(blob, unopened, {}, NEVER), 'REDIRECT_REFUSED');
      const manifest = { mediaType: 'a/b', digest: blob.digest, bytes: Buffer.from('{}') };
      await rejection(one.putManifest('v1', manifest, NEVER), 'REDIRECT_REFUSED');
      // A mount, and the plain upload that is tried after it, and the manifest.
      assert.equal(server.seen.length, 3);
      assert.ok(server.seen.every(({ url }) => !url.includes('elsewhere')));
    }
  });

  it('sends what is redirected within the origin once more, except a stream', async (t) => {
    for (const status of [307, 308]) {
      const at = await registry(t, { switches: { mountProbe: 'ignored' } });
      let prefix = '/v2/';
      const server = await front(t, at.host, (request, response) => {
        const { method, url = '' } = request;
        if (method !== 'POST' && method !== 'PUT') return false;
        if (url.includes('moved=1') || !url.startsWith(prefix)) return false;
        const location = `${url}${url.includes('?') ? '&' : '?'}moved=1`;
        request.resume().on('end', () => response.writeHead(status, { location }).end());
        return true;
      });
      const one = destinationAt(t, server.host);
      await one.putManifest('v1', INDEX, NEVER);
      assert.equal((await one.headManifest('v1', NEVER))?.digest, INDEX.digest);
      const bytes = Buffer.from('blob');
      const blob = { mediaType: 'x', digest: digestOf(bytes), sizeBytes: bytes.length };
      const opened = (): Promise<Readable> => Promise.resolve(Readable.from([bytes]));
      await rejection(one.uploadBlob(blob, opened, {}, NEVER), 'REDIRECT_REFUSED');
      prefix = '/v2/org/app/blobs/uploads/?';
      assert.equal(await one.uploadBlob(blob, opened, {}, NEVER), 'uploaded');
    }
  });

  it('asks at most three times for one refusal', async (t) => {
    let tokens = 0;
    const server = await serve(t, (request, response) => {
      if (request.url?.startsWith('/token') === true) {
        tokens += 1;
        response.end(JSON.stringify({ token: `t${tokens}` }));
        return;
      }
      wantToken(request, response, `,scope="repository:n${tokens}:pull"`);
    });
    const one = sourceAt(t, server.host);
    await rejection(one.listTags(NEVER), 'UNAUTHORIZED');
    assert.equal(server.seen.length - tokens, 3);
    assert.equal(tokens, 2);
  });

  /** A registry of Google's that shows its list to nobody but the identity, and how it tells the others. */
  for (const [name, atRealm, atRegistry] of [
    ['its realm gives no token to nobody', 403, 401],
    ['the token that its realm gives to nobody is refused by 403', 200, 403],
    ['the token that its realm gives to nobody is refused by 401', 200, 401],
  ] as const) {
    it(`asks with the identity that has come late, at once, where ${name}`, async (t) => {
      const server = await serve(t, (request, response) => {
        const { authorization = '', host = '' } = request.headers;
        const isAtRealm = request.url?.startsWith('/token') === true;
        const isOurs = authorization === 'Bearer ya29' || authorization.startsWith('Basic ');
        if (isAtRealm && isOurs) response.end(JSON.stringify({ token: 'ya29' }));
        else if (isOurs) response.end(JSON.stringify({ name: 'org/app', tags: ['v1'] }));
        else {
          const isFirst = !isAtRealm && authorization === '';
          const challenge = { 'www-authenticate': `Bearer realm="http://${host}/token"` };
          const status = isAtRealm ? atRealm : atRegistry;
          response.writeHead(isFirst ? 401 : status, challenge);
          response.end(JSON.stringify({ token: 'anonymous' }));
        }
      });
      const byHost: Record<string, Credential> = {};
      const known = credentials(byHost);
      const late = {
        ...known,
        refused: () => {
          byHost[server.host] = { kind: 'google', token: 'ya29' };
        },
      };
      const registries = open(t, [server.host], { credentials: () => late });
      const one = sourceOf(registries, server.host);
      assert.deepEqual((await one.listTags(NEVER))?.tags, ['v1']);
    });
  }

  for (const [status, who] of [
    [401, 'realm'],
    [403, 'realm'],
    [401, 'registry'],
    [403, 'registry'],
  ] as const) {
    it(`says with a ${status} of the ${who} which account of the docker config was left`, async (t) => {
      const server = await serve(t, (request, response) => {
        const realm = `Bearer realm="http://${request.headers.host ?? ''}/token"`;
        response.writeHead(status, who === 'realm' ? { 'www-authenticate': realm } : {}).end();
      });
      const advice = 'the entry is not used';
      const known = credentials({ [server.host]: { kind: 'google', token: 'ya29', advice } });
      const registries = open(t, [server.host], { credentials: () => known });
      const one = destinationOf(registries, server.host);
      const code = status === 401 ? 'UNAUTHORIZED' : 'FORBIDDEN';
      assert.match(
        (await rejection(one.listTags(NEVER), code)).message,
        /; the entry is not used$/,
      );
    });
  }
});
