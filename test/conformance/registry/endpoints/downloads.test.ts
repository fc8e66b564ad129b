import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { digestOf } from '../../../stand-ins/registry/digest.ts';
import { ask, start } from '../loopback.ts';

const BLOB = Buffer.from('bytes at the far end');
const PATH = `/v2/org/app/blobs/${digestOf(BLOB)}`;

describe('blob redirect', () => {
  it('stays below /artifacts-downloads/ of the same host at Artifact Registry', async (t) => {
    const registry = await start(t, { personality: 'artifact-registry' });
    registry.store.putBlob('p/r/app', BLOB);
    const answer = await ask(registry.url, 'GET', `/v2/p/r/app/blobs/${digestOf(BLOB)}`);
    assert.equal(answer.status, 302);
    const location = new URL(answer.headers.location ?? '');
    assert.equal(location.origin, registry.url);
    assert.match(
      location.pathname,
      /^\/artifacts-downloads\/namespaces\/p\/repositories\/r\/downloads\//,
    );
    assert.deepEqual((await ask(location.href, 'GET', location.href)).body, BLOB);
    assert.equal(registry.counter.total, 1);
    assert.equal(registry.counter.redirectHops, 1);
  });

  it('is never answered to HEAD', async (t) => {
    const registry = await start(t, { switches: { blobRedirect: 'other-host' } });
    registry.store.putBlob('org/app', BLOB);
    assert.equal((await ask(registry.url, 'HEAD', PATH)).status, 200);
  });

  it('leads to another host, which knows Range', async (t) => {
    const registry = await start(t, { switches: { blobRedirect: 'other-host' } });
    registry.store.putBlob('org/app', BLOB);
    const answer = await ask(registry.url, 'GET', PATH);
    assert.equal(answer.status, 307);
    const location = answer.headers.location ?? '';
    assert.equal(new URL(location).origin, registry.downloadUrl);
    const part = await ask(location, 'GET', location, { headers: { range: 'bytes=0-4' } });
    assert.deepEqual([part.status, part.body.toString()], [206, 'bytes']);
    assert.deepEqual(
      registry.counter.records.map(({ host }) => host),
      ['registry', 'downloads'],
    );
  });

  it('is refused with credentials, without its signature and after its time where it is signed', async (t) => {
    let nowMs = Date.now();
    const registry = await start(t, {
      switches: { blobRedirect: 'signed-other-host' },
      clock: () => nowMs,
    });
    registry.store.putBlob('org/app', BLOB);
    const location = (await ask(registry.url, 'GET', PATH)).headers.location ?? '';
    assert.deepEqual((await ask(location, 'GET', location)).body, BLOB);
    const headers = { authorization: 'Bearer x' };
    assert.equal((await ask(location, 'GET', location, { headers })).status, 400);
    const unsigned = location.split('?')[0] ?? '';
    assert.equal((await ask(unsigned, 'GET', unsigned)).status, 403);
    nowMs += 11 * 60_000;
    assert.equal((await ask(location, 'GET', location)).status, 403);
  });

  it('leads nowhere for a blob that has gone', async (t) => {
    const registry = await start(t, { switches: { blobRedirect: 'same-host' } });
    registry.store.putBlob('org/app', BLOB);
    const location = (await ask(registry.url, 'GET', PATH)).headers.location ?? '';
    registry.store.collectGarbage();
    assert.equal((await ask(location, 'GET', location)).status, 404);
    assert.equal((await ask(location, 'PUT', location, { body: '' })).status, 405);
  });
});
