import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { openAuthorizer } from '../../../functions/registry/authorizer.ts';
import { ANONYMOUS } from '../../../functions/auth/credentials.ts';
import { digestOf } from '../../../functions/oci/digest.ts';
import { bearerTokens } from '../../../functions/registry/bearer.ts';
import { headBlob, openBlob } from '../../../functions/registry/blobs.ts';
import { openClient } from '../../../functions/registry/client.ts';
import { newHostMemory } from '../../../functions/registry/host-capabilities.ts';
import { AdaptiveLimiter } from '../../../functions/registry/limiter.ts';
import type { Target } from '../../../functions/registry/manifests.ts';
import { isOpen } from '../../../functions/registry/failure.ts';
import { SYSTEM_TIMING } from '../../../functions/concurrency.ts';
import { openTransport } from '../../../functions/registry/transport.ts';
import { bytesOf, NEVER, QUICK, registry, rejection, serve } from './setting.ts';

const CONTENT = Buffer.from('0123456789');
const DIGEST = digestOf(CONTENT);

function target(t: TestContext, url: string): Target {
  const transport = openTransport({ addresses: { privateHosts: new Set(), loopback: true } });
  t.after(() => {
    transport.close();
  });
  const limiter = new AdaptiveLimiter({ timing: SYSTEM_TIMING });
  const tokens = bearerTokens(SYSTEM_TIMING);
  const askRealm = (): Promise<never> => Promise.reject(new Error('no realm'));
  const authorizer = openAuthorizer({
    registry: new URL(url),
    credentials: ANONYMOUS,
    tokens,
    askRealm,
  });
  const client = openClient({
    side: 'source',
    registry: new URL(url),
    transport,
    authorizer,
    limiterOf: () => limiter,
    timing: SYSTEM_TIMING,
    retryPolicy: QUICK,
    random: Math.random,
    onExchange: () => undefined,
    deadlineAtMs: undefined,
    anonymousAt: () => assert.fail('no other registry'),
  });
  const scope = { path: 'org/app', actions: 'pull' } as const;
  return { client, path: 'org/app', scope, memory: newHostMemory() };
}

describe('blobs', () => {
  it('heads a blob', async (t) => {
    const at = await registry(t, { switches: { blobRedirect: 'other-host' } });
    at.store.putBlob('org/app', CONTENT);
    const one = target(t, at.url);
    assert.deepEqual(await headBlob(one, DIGEST, NEVER), { sizeBytes: 10 });
    assert.equal(await headBlob(one, digestOf(Buffer.from('x')), NEVER), undefined);
  });

  it('heads a blob whose size is not told', async (t) => {
    const at = await serve(t, (_request, response) => response.writeHead(200).end());
    assert.deepEqual(await headBlob(target(t, at.url), DIGEST, NEVER), { sizeBytes: undefined });
  });

  it('takes the page of a front for no blob', async (t) => {
    const at = await serve(t, (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/html', 'content-length': '512' }).end();
    });
    await rejection(headBlob(target(t, at.url), DIGEST, NEVER), 'RESPONSE_INVALID');
  });

  it('says that it may not', async (t) => {
    const at = await serve(t, (_request, response) => response.writeHead(403).end());
    const fault = await rejection(headBlob(target(t, at.url), DIGEST, NEVER), 'FORBIDDEN');
    assert.equal(fault.operation, 'head blob');
  });

  it('opens a blob, or the rest of it', async (t) => {
    const at = await registry(t);
    at.store.putBlob('org/app', CONTENT);
    const one = target(t, at.url);
    const blob = { digest: DIGEST, sizeBytes: 10 };
    const whole = await openBlob(one, blob, 0, NEVER);
    assert.ok(isOpen(whole) && whole.status === 200);
    assert.equal(String(await bytesOf(whole.chunks)), '0123456789');
    const rest = await openBlob(one, blob, 4, NEVER);
    assert.ok(isOpen(rest) && rest.status === 206);
    assert.equal(rest.header('content-range'), 'bytes 4-9/10');
    assert.equal(String(await bytesOf(rest.chunks)), '456789');
    const none = await openBlob(
      one,
      { digest: digestOf(Buffer.from('x')), sizeBytes: 1 },
      0,
      NEVER,
    );
    assert.equal(none.status, 404);
  });

  it('puts nothing into a path that is no digest', async (t) => {
    const one = target(t, 'http://127.0.0.1:1');
    await rejection(headBlob(one, 'sha256:../../x', NEVER), 'DIGEST_INVALID');
  });
});
