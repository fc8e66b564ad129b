import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { describe, it } from 'node:test';
import { digestOf } from '../../stand-ins/registry/digest.ts';
import { OCI_MANIFEST } from '../../stand-ins/registry/media-types.ts';
import { startRegistryProcess } from '../../stand-ins/registry/registry-process.ts';
import { startRegistry } from '../../stand-ins/registry/registry.ts';
import { hasCause } from '../../faults.ts';
import { until } from '../../until.ts';
import { ask, pushBlob, start, storeImage, type Answered } from './loopback.ts';

describe('registry', () => {
  it('ends with its open connections', async () => {
    const registry = await startRegistry();
    const socket = connect(Number(registry.host.split(':')[1]), '127.0.0.1');
    const closed = new Promise((resolve) => socket.on('close', resolve));
    socket.on('error', () => undefined);
    await new Promise((resolve) => socket.on('connect', resolve));
    socket.write('GET /v2/ HTTP/1.1\r\nhost: x\r\n\r\n');
    await new Promise((resolve) => socket.once('data', resolve));
    await registry.close();
    await closed;
  });

  it('ends while a request waits for ever', async () => {
    const registry = await startRegistry();
    registry.faults.add({ effect: { kind: 'stall', at: 'head' } });
    const waiting = ask(registry.url, 'GET', '/v2/').catch(() => 'gone');
    await until(() => registry.counter.records.length > 0);
    await registry.close();
    assert.equal(await waiting, 'gone');
  });

  it('asks for no credentials unless it is told to, in either dialect', async (t) => {
    for (const dialect of ['distribution', 'artifact-registry'] as const) {
      const registry = await start(t, { dialect });
      storeImage(registry, 'p/r/app', 'v1');
      registry.revokeTokens();
      assert.equal((await ask(registry.url, 'GET', '/v2/p/r/app/tags/list')).status, 200);
    }
  });
});

describe('pull limit', () => {
  it('counts manifest GETs, and HEADs tell what is left', async (t) => {
    const registry = await start(t, { switches: { pullLimit: 2 } });
    storeImage(registry, 'org/app', 'v1');
    const headers = { accept: OCI_MANIFEST };
    const seen: [string, number, unknown][] = [];
    for (const method of ['HEAD', 'GET', 'HEAD', 'GET', 'GET', 'HEAD']) {
      const answer = await ask(registry.url, method, '/v2/org/app/manifests/v1', { headers });
      seen.push([method, answer.status, answer.headers['ratelimit-remaining']]);
    }
    assert.deepEqual(seen, [
      ['HEAD', 200, '2;w=21600'],
      ['GET', 200, '1;w=21600'],
      ['HEAD', 200, '1;w=21600'],
      ['GET', 200, '0;w=21600'],
      ['GET', 429, '0;w=21600'],
      ['HEAD', 429, '0;w=21600'],
    ]);
    const list = await ask(registry.url, 'GET', '/v2/org/app/tags/list');
    assert.deepEqual([list.status, list.headers['ratelimit-limit']], [200, undefined]);
  });
});

describe('request counter', () => {
  it('records method, path, kind, status and bytes of each request', async (t) => {
    const registry = await start(t);
    const blob = Buffer.from('twelve bytes');
    await pushBlob(registry.url, 'org/app', blob, { authorization: 'Bearer abc' });
    const [post, put] = registry.counter.records;
    assert.deepEqual(
      [post?.method, post?.kind, post?.status, post?.bytesIn],
      ['POST', 'upload', 202, 0],
    );
    assert.deepEqual(
      [put?.method, put?.kind, put?.status, put?.bytesIn],
      ['PUT', 'upload', 201, 12],
    );
    assert.match(put?.url ?? '', /^\/v2\/org\/app\/blobs\/uploads\/.*digest=sha256/);
    assert.equal(put?.headers.authorization, 'Bearer abc');
    assert.equal(registry.counter.uploadedBytes, 12);
  });

  it('counts redirect hops apart', async (t) => {
    const registry = await start(t, { switches: { blobRedirect: 'same-host' } });
    const digest = registry.store.putBlob('org/app', Buffer.from('four'));
    const first = await ask(registry.url, 'GET', `/v2/org/app/blobs/${digest}`);
    await ask(registry.url, 'GET', first.headers.location ?? '');
    const { total, redirectHops, summary } = registry.counter;
    assert.deepEqual([total, redirectHops], [1, 1]);
    assert.deepEqual(summary, { 'GET blob 307': 1, 'GET download 200': 1 });
  });

  it('knows the most requests at one time', async (t) => {
    const registry = await start(t);
    const { counter } = registry;
    registry.faults.add({ times: 5, effect: { kind: 'stall', at: 'head' } });
    const waiting = [1, 2, 3, 4, 5].map(() => ask(registry.url, 'GET', '/v2/').catch(() => 'gone'));
    await until(() => counter.total >= 5);
    counter.reset();
    assert.deepEqual([counter.total, counter.highestConcurrency], [0, 5]);
    await registry.close();
    await Promise.all(waiting);
  });

  it('selects by what is asked', async (t) => {
    const registry = await start(t);
    storeImage(registry, 'org/app', 'v1');
    await ask(registry.url, 'GET', '/v2/org/app/tags/list');
    await ask(registry.url, 'HEAD', '/v2/org/app/manifests/none');
    const { counter } = registry;
    assert.equal(counter.count({ kind: 'tags' }), 1);
    assert.equal(counter.count({ method: 'HEAD', status: 404 }), 1);
    assert.equal(counter.count({ path: /manifests\/none$/ }), 1);
    assert.equal(counter.count({ kind: 'tags', status: 404 }), 0);
  });
});

describe('a registry in a process of its own', () => {
  it('serves, is controlled, and ends', async (t) => {
    const registry = await startRegistryProcess({ discardBlobs: true, auth: { scheme: 'bearer' } });
    t.after(() => registry.close());
    assert.equal((await ask(registry.url, 'GET', '/v2/')).status, 401);
    const layers = [{ seed: 's', sizeBytes: 10_000 }];
    const { digest } = await registry.putSyntheticImage({ repository: 'b', tag: 'v1', layers });
    const granted = await ask(registry.url, 'GET', '/token?scope=repository:b:pull');
    const headers = { authorization: `Bearer ${(granted.json as { token: string }).token}` };
    const list = (): Promise<Answered> => ask(registry.url, 'GET', '/v2/b/tags/list', { headers });
    assert.equal((await list()).status, 200);
    const got = await ask(registry.url, 'GET', `/v2/b/manifests/v1`, {
      headers: { ...headers, accept: OCI_MANIFEST },
    });
    assert.equal(digestOf(got.body), digest);
    const figures = await registry.figures();
    assert.deepEqual([figures.total, figures.uploadedBytes], [4, 0]);
    assert.equal(figures.summary['GET ping 401'], 1);
    await registry.reset();
    assert.equal((await registry.figures()).total, 0);
    await registry.set({ rttMs: 1, pullLimit: 1 });
    await registry.clear();
    assert.equal((await list()).status, 404);
    await registry.close();
    await assert.rejects(list(), hasCause('ECONNREFUSED'));
    await registry.close();
    await assert.rejects(registry.figures(), /has ended/);
  });
});
