import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { RequestCounter } from '../../stand-ins/registry/counter.ts';
import { ask, pushBlob, start, storeImage } from './loopback.ts';

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

  it('counts redirect hops apart and downloaded bytes together', async (t) => {
    const registry = await start(t, { switches: { blobRedirect: 'same-host' } });
    const digest = registry.store.putBlob('org/app', Buffer.from('four'));
    const first = await ask(registry.url, 'GET', `/v2/org/app/blobs/${digest}`);
    await ask(registry.url, 'GET', first.headers.location ?? '');
    const { total, redirectHops, downloadedBytes, summary } = registry.counter;
    assert.deepEqual([total, redirectHops, downloadedBytes], [1, 1, 4]);
    assert.deepEqual(summary, { 'GET blob 307': 1, 'GET download 200': 1 });
  });

  it('knows the most requests at one time, of all and of a kind', async (t) => {
    const registry = await start(t);
    const { counter } = registry;
    registry.faults.add({ times: 5, effect: { kind: 'stall', at: 'head' } });
    const paths = ['/v2/', '/v2/', '/v2/a/tags/list', '/v2/a/tags/list', '/v2/a/tags/list'];
    const waiting = paths.map((path) => ask(registry.url, 'GET', path).catch(() => undefined));
    while (counter.openRequests < 5) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(counter.highestConcurrency, 5);
    assert.deepEqual(
      [counter.highestConcurrencyOf('ping'), counter.highestConcurrencyOf('tags')],
      [2, 3],
    );
    assert.equal(counter.highestConcurrencyOf('blob'), 0);
    counter.reset();
    assert.deepEqual([counter.total, counter.highestConcurrency], [0, 5]);
    await registry.close();
    await Promise.all(waiting);
    assert.equal(counter.openRequests, 0);
    counter.reset();
    assert.deepEqual([counter.highestConcurrency, counter.highestConcurrencyOf('tags')], [0, 0]);
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

  it('counts every request once, however often its end is told', () => {
    const counter = new RequestCounter(() => 7);
    const open = counter.begin({ method: 'GET', url: '/v2/', headers: {}, host: 'registry' });
    assert.equal(counter.openRequests, 1);
    open.end();
    open.end();
    assert.equal(counter.openRequests, 0);
    assert.equal(open.record.endedMs, 7);
  });
});
