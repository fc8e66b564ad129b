import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { digestOf } from '../../stand-ins/registry/digest.ts';
import type { LocalRegistry } from '../../stand-ins/registry/registry.ts';
import type { RegistrySwitches } from '../../stand-ins/registry/dialect.ts';
import { ask, pushBlob, start } from './loopback.ts';

const BLOB = Buffer.from('0123456789abcdef');
const DIGEST = digestOf(BLOB);
const PATH = `/v2/org/app/blobs/${DIGEST}`;

async function startWithBlob(
  t: TestContext,
  switches: Partial<RegistrySwitches> = {},
): Promise<LocalRegistry> {
  const registry = await start(t, { switches });
  registry.store.putBlob('org/app', BLOB);
  return registry;
}

describe('blob GET', () => {
  it('answers the bytes, by HEAD their size', async (t) => {
    const registry = await startWithBlob(t);
    const got = await ask(registry.url, 'GET', PATH);
    assert.deepEqual(got.body, BLOB);
    assert.equal(got.headers['docker-content-digest'], DIGEST);
    const head = await ask(registry.url, 'HEAD', PATH);
    assert.equal(head.status, 200);
    assert.equal(head.headers['content-length'], '16');
  });

  it('belongs to its repository alone', async (t) => {
    const registry = await startWithBlob(t);
    const answer = await ask(registry.url, 'GET', `/v2/org/other/blobs/${DIGEST}`);
    assert.deepEqual([answer.status, answer.codes], [404, ['BLOB_UNKNOWN']]);
  });

  it('belongs to all images of an Artifact Registry repository', async (t) => {
    const registry = await start(t, { dialect: 'artifact-registry' });
    registry.store.putBlob('p/r/one', BLOB);
    const seen = async (image: string): Promise<number> =>
      (await ask(registry.url, 'HEAD', `/v2/${image}/blobs/${DIGEST}`)).status;
    assert.equal(await seen('p/r/two'), 200);
    assert.equal(await seen('p/q/one'), 404);
  });

  it('has no bytes of a blob that was discarded', async (t) => {
    const registry = await start(t, { discardBlobs: true });
    assert.equal((await pushBlob(registry.url, 'org/app', BLOB)).status, 201);
    assert.equal((await ask(registry.url, 'HEAD', PATH)).headers['content-length'], '16');
    assert.equal((await ask(registry.url, 'GET', PATH)).status, 500);
  });
});

describe('Range', () => {
  const cases: readonly (readonly [string, number, string, string | undefined])[] = [
    ['bytes=3-5', 206, '345', 'bytes 3-5/16'],
    ['bytes=10-', 206, 'abcdef', 'bytes 10-15/16'],
    ['bytes=10-99', 206, 'abcdef', 'bytes 10-15/16'],
    ['bytes=-2', 206, 'ef', 'bytes 14-15/16'],
    ['bytes=16-', 416, '', 'bytes */16'],
    ['bytes=1-2,4-5', 200, BLOB.toString(), undefined],
    ['lines=1-2', 200, BLOB.toString(), undefined],
  ];
  for (const [range, status, body, contentRange] of cases) {
    it(`answers ${range} with ${status}`, async (t) => {
      const registry = await startWithBlob(t);
      const answer = await ask(registry.url, 'GET', PATH, { headers: { range } });
      assert.deepEqual(
        [answer.status, answer.body.toString(), answer.headers['content-range']],
        [status, body, contentRange],
      );
    });
  }

  it('is ignored where the registry ignores it', async (t) => {
    const registry = await startWithBlob(t, { range: 'ignored' });
    const answer = await ask(registry.url, 'GET', PATH, { headers: { range: 'bytes=3-5' } });
    assert.deepEqual([answer.status, answer.body.length], [200, 16]);
  });

  it('is answered from the wrong byte where the registry errs', async (t) => {
    const registry = await startWithBlob(t, { range: 'wrong' });
    const answer = await ask(registry.url, 'GET', PATH, { headers: { range: 'bytes=10-' } });
    assert.deepEqual(
      [answer.status, answer.body.toString(), answer.headers['content-range']],
      [206, 'bcdef', 'bytes 11-15/16'],
    );
  });
});

const BYTES = Buffer.from('bytes at the far end');
const HOP = `/v2/org/app/blobs/${digestOf(BYTES)}`;

describe('blob redirect', () => {
  it('stays below /artifacts-downloads/ of the same host at Artifact Registry', async (t) => {
    const registry = await start(t, { dialect: 'artifact-registry' });
    registry.store.putBlob('p/r/app', BYTES);
    const answer = await ask(registry.url, 'GET', `/v2/p/r/app/blobs/${digestOf(BYTES)}`);
    assert.equal(answer.status, 302);
    const location = new URL(answer.headers.location ?? '');
    assert.equal(location.origin, registry.url);
    assert.match(
      location.pathname,
      /^\/artifacts-downloads\/namespaces\/p\/repositories\/r\/downloads\//,
    );
    assert.deepEqual((await ask(location.href, 'GET', location.href)).body, BYTES);
    assert.equal(registry.counter.total, 1);
    assert.equal(registry.counter.redirectHops, 1);
  });

  it('is never answered to HEAD', async (t) => {
    const registry = await start(t, { switches: { blobRedirect: 'other-host' } });
    registry.store.putBlob('org/app', BYTES);
    assert.equal((await ask(registry.url, 'HEAD', HOP)).status, 200);
  });

  it('leads to another host, which knows Range', async (t) => {
    const registry = await start(t, { switches: { blobRedirect: 'other-host' } });
    registry.store.putBlob('org/app', BYTES);
    const answer = await ask(registry.url, 'GET', HOP);
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
    registry.store.putBlob('org/app', BYTES);
    const location = (await ask(registry.url, 'GET', HOP)).headers.location ?? '';
    assert.deepEqual((await ask(location, 'GET', location)).body, BYTES);
    const headers = { authorization: 'Bearer x' };
    assert.equal((await ask(location, 'GET', location, { headers })).status, 400);
    const unsigned = location.split('?')[0] ?? '';
    assert.equal((await ask(unsigned, 'GET', unsigned)).status, 403);
    nowMs += 11 * 60_000;
    assert.equal((await ask(location, 'GET', location)).status, 403);
  });

  it('leads nowhere for a blob that has gone', async (t) => {
    const registry = await start(t, { switches: { blobRedirect: 'same-host' } });
    registry.store.putBlob('org/app', BYTES);
    const location = (await ask(registry.url, 'GET', HOP)).headers.location ?? '';
    registry.store.collectGarbage();
    assert.equal((await ask(location, 'GET', location)).status, 404);
    assert.equal((await ask(location, 'PUT', location, { body: '' })).status, 405);
  });
});
