import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { digestOf } from '../../stand-ins/registry/digest.ts';
import type { LocalRegistry } from '../../stand-ins/registry/registry.ts';
import { ask, pushBlob, start } from './loopback.ts';

const BLOB = Buffer.from('an uploaded blob');
const DIGEST = digestOf(BLOB);

async function begin(
  registry: LocalRegistry,
  query = '',
  repository = 'org/app',
): Promise<Awaited<ReturnType<typeof ask>>> {
  return ask(registry.url, 'POST', `/v2/${repository}/blobs/uploads/${query}`, { body: '' });
}

function withDigest(location: string | undefined, digest = DIGEST): string {
  const address = location ?? '';
  return `${address}${address.includes('?') ? '&' : '?'}digest=${digest}`;
}

describe('upload', () => {
  it('takes POST and one PUT', async (t) => {
    const registry = await start(t);
    const put = await pushBlob(registry.url, 'org/app', BLOB);
    assert.equal(put.status, 201);
    assert.equal(put.headers.location, `${registry.url}/v2/org/app/blobs/${DIGEST}`);
    assert.equal(registry.counter.uploadedBytes, BLOB.length);
    assert.equal(registry.openUploads, 0);
    assert.deepEqual(registry.store.blobs('org/app'), [DIGEST]);
  });

  it('takes several PATCHes and tells how far it is', async (t) => {
    const registry = await start(t);
    const begun = await begin(registry);
    const first = await ask(registry.url, 'PATCH', begun.headers.location ?? '', {
      headers: { 'content-range': '0-4' },
      body: BLOB.subarray(0, 5),
    });
    assert.deepEqual([first.status, first.headers.range], [202, '0-4']);
    const gap = await ask(registry.url, 'PATCH', first.headers.location ?? '', {
      headers: { 'content-range': '6-9' },
      body: BLOB.subarray(6, 10),
    });
    assert.deepEqual([gap.status, gap.headers.range], [416, '0-4']);
    const last = await ask(registry.url, 'PUT', withDigest(first.headers.location), {
      body: BLOB.subarray(5),
    });
    assert.equal(last.status, 201);
  });

  it('wants a pre-encoded state back byte for byte', async (t) => {
    const registry = await start(t, { switches: { uploadLocation: 'query' } });
    const location = (await begin(registry)).headers.location ?? '';
    const normalised = new URL(location);
    normalised.searchParams.set('digest', DIGEST);
    assert.notEqual(normalised.href, withDigest(location));
    const wrong = await ask(registry.url, 'PUT', normalised.href, { body: BLOB });
    assert.deepEqual([wrong.status, wrong.codes], [400, ['BLOB_UPLOAD_INVALID']]);
    const right = await ask(registry.url, 'PUT', withDigest(location), { body: BLOB });
    assert.equal(right.status, 201);
  });

  it('takes a blob with its POST where it is switched to, and drops it else', async (t) => {
    const registry = await start(t);
    const post = (digest: string): ReturnType<typeof ask> =>
      ask(registry.url, 'POST', `/v2/org/app/blobs/uploads/?digest=${digest}`, { body: BLOB });
    const dropped = await post(DIGEST);
    assert.equal(dropped.status, 202);
    assert.deepEqual(registry.store.blobs('org/app'), []);
    const put = await ask(registry.url, 'PUT', withDigest(dropped.headers.location), {
      body: BLOB,
    });
    assert.equal(put.status, 201);
    registry.store.clear();
    registry.set({ singlePost: 'honoured' });
    const wrong = await post(digestOf(Buffer.from('other')));
    assert.deepEqual([wrong.status, wrong.codes], [400, ['DIGEST_INVALID']]);
    assert.deepEqual(registry.store.blobs('org/app'), []);
    const taken = await post(DIGEST);
    assert.equal(taken.status, 201);
    assert.equal(taken.headers.location, `${registry.url}/v2/org/app/blobs/${DIGEST}`);
    assert.equal(taken.headers['docker-content-digest'], DIGEST);
    assert.deepEqual(registry.store.blobs('org/app'), [DIGEST]);
    assert.equal(registry.openUploads, 0);
  });

  for (const [form, pattern] of [
    ['relative', /^\/v2\/org\/app\/blobs\/uploads\/[0-9a-f-]{36}$/],
    ['absolute', /^http:\/\/127\.0\.0\.1:\d+\/v2\/org\/app\/blobs\/uploads\/[0-9a-f-]{36}$/],
  ] as const) {
    it(`gives a ${form} Location`, async (t) => {
      const registry = await start(t, { switches: { uploadLocation: form } });
      assert.match((await begin(registry)).headers.location ?? '', pattern);
    });
  }
});

describe('upload to Artifact Registry', () => {
  it('has its own path and takes one PATCH only', async (t) => {
    const registry = await start(t, { dialect: 'artifact-registry' });
    const location = (await begin(registry, '', 'p/r/app')).headers.location ?? '';
    assert.match(location, /^\/artifacts-uploads\/namespaces\/p\/repositories\/r\/uploads\/[^/]+$/);
    const patch = await ask(registry.url, 'PATCH', location, { body: BLOB.subarray(0, 5) });
    assert.equal(patch.status, 202);
    const second = await ask(registry.url, 'PATCH', location, { body: BLOB.subarray(5) });
    assert.deepEqual([second.status, second.codes], [400, ['BLOB_UPLOAD_INVALID']]);
  });

  it('takes one PATCH and an empty PUT, and the bytes in the PUT', async (t) => {
    const registry = await start(t, { dialect: 'artifact-registry' });
    const location = (await begin(registry, '', 'p/r/app')).headers.location ?? '';
    await ask(registry.url, 'PATCH', location, { body: BLOB });
    assert.equal((await ask(registry.url, 'PUT', withDigest(location), { body: '' })).status, 201);
    assert.equal((await pushBlob(registry.url, 'p/r/app', Buffer.from('two'))).status, 201);
    assert.equal(registry.counter.count({ kind: 'upload' }), 5);
  });

  it('knows an upload by project and repository', async (t) => {
    const registry = await start(t, { dialect: 'artifact-registry' });
    const location = (await begin(registry, '', 'p/r/app')).headers.location ?? '';
    const other = withDigest(location.replace('/repositories/r/', '/repositories/q/'));
    assert.equal((await ask(registry.url, 'PUT', other, { body: BLOB })).status, 404);
  });
});

describe('mount', () => {
  const mount = `?mount=${DIGEST}`;

  it('is a question for existence at Artifact Registry', async (t) => {
    const registry = await start(t, { dialect: 'artifact-registry' });
    assert.equal((await begin(registry, mount, 'p/r/app')).status, 202);
    registry.store.putBlob('p/r/app', BLOB);
    assert.equal((await begin(registry, mount, 'p/r/app')).status, 201);
    assert.equal((await begin(registry, `${mount}&from=other/registry`, 'p/r/app')).status, 201);
    registry.set({ mountProbe: 'ignored' });
    assert.equal((await begin(registry, mount, 'p/r/app')).status, 202);
    assert.equal((await begin(registry, `${mount}&from=p/r/app`, 'p/q/app')).status, 201);
    registry.set({ mountFrom: 'ignored' });
    assert.equal((await begin(registry, `${mount}&from=p/r/app`, 'p/s/app')).status, 202);
  });
});
