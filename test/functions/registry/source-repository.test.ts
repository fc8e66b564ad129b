import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { digestOf } from '../../../functions/oci/digest.ts';
import { bytesOf, INDEX, NEVER, open, registry, rejection, serve, sourceAt } from './setting.ts';

describe('source repository', () => {
  it('is named as its image is', async (t) => {
    const at = await registry(t);
    const one = sourceAt(t, at.host);
    assert.equal(one.name, `${at.host}/org/app`);
  });

  it('leaves the last five pulls of Docker Hub alone, in this event, and goes on with HEAD', async (t) => {
    const at = await registry(t, { switches: { pullLimit: 7 } });
    at.store.putManifest('org/app', INDEX, 'v1');
    const registries = open(t, [at.host]);
    const name = { host: at.host, path: 'org/app' };
    const one = registries.source(name, { insecure: true });
    await one.getManifest('v1', NEVER);
    await one.getManifest('v1', NEVER);
    const fault = await rejection(one.getManifest('v1', NEVER), 'RATE_LIMITED');
    assert.deepEqual([fault.side, fault.operation], ['source', 'get manifest']);
    assert.equal(at.counter.count({ method: 'GET' }), 2);
    assert.notEqual(await one.headManifest('v1', NEVER), undefined);
    const next = registries.source(name, { insecure: true });
    assert.notEqual(await next.headManifest('v1', NEVER), undefined);
    await rejection(next.getManifest('v1', NEVER), 'RATE_LIMITED');
  });

  it('stops with the last pull, and says how many are left and for how long', async (t) => {
    for (const [left, isLast] of [
      [1, false],
      [0, true],
    ] as const) {
      const at = await serve(t, (_request, response) => {
        response.setHeader('ratelimit-remaining', `${left};w=21600`);
        response.setHeader('docker-content-digest', INDEX.digest).end();
      });
      const one = sourceAt(t, at.host);
      await one.headManifest('v1', NEVER);
      const fault = await rejection(one.getManifest('v1', NEVER), 'RATE_LIMITED');
      assert.match(fault.message, new RegExp(`${left} pulls left of its 6 h`));
      assert.equal(fault.retryAfterMs, isLast ? 21_600_000 : undefined);
      if (isLast) await rejection(one.headManifest('v1', NEVER), 'RATE_LIMITED');
      else await one.headManifest('v1', NEVER);
      assert.equal(at.seen.length, isLast ? 1 : 2);
    }
  });

  it('gives a blob from any byte on, the last one too', async (t) => {
    const at = await registry(t);
    const bytes = Buffer.from('0123456789');
    const digest = at.store.putBlob('org/app', bytes);
    const one = sourceAt(t, at.host);
    const blob = { mediaType: 'x', digest, sizeBytes: bytes.length };
    for (const from of [0, 9, 10]) {
      const got = await bytesOf(await one.openBlob(blob, from, NEVER));
      assert.equal(String(got), '0123456789'.slice(from));
    }
  });

  it('believes no HEAD that calls a blob empty which is not', async (t) => {
    const bytes = Buffer.from('0123456789');
    const at = await serve(t, ({ method }, response) => {
      response.setHeader('content-length', method === 'HEAD' ? 0 : 10);
      response.end(method === 'HEAD' ? undefined : bytes);
    });
    const one = sourceAt(t, at.host);
    assert.equal(await one.blobSize(digestOf(bytes), NEVER), 10);
    assert.equal(await one.blobSize(digestOf(Buffer.alloc(0)), NEVER), 0);
    assert.deepEqual(
      at.seen.map(({ method }) => method),
      ['HEAD', 'GET', 'HEAD'],
    );
  });

  it('knows of no limit where none is told', async (t) => {
    const at = await registry(t);
    at.store.putManifest('org/app', INDEX, 'v1');
    const one = sourceAt(t, at.host);
    for (let times = 0; times < 20; times++) await one.getManifest('v1', NEVER);
    assert.equal(at.counter.total, 20);
  });
});
