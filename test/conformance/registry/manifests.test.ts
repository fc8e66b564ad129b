import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { buildIndex, buildImage, textLayer, EPOCH } from '../../stand-ins/images/image.ts';
import { putImage, storeTarget } from '../../stand-ins/images/target.ts';
import { digestOf } from '../../stand-ins/registry/digest.ts';
import { OCI_INDEX, OCI_LAYER_GZIP, OCI_MANIFEST } from '../../stand-ins/registry/media-types.ts';
import { ask, manifestOf, start, storeImage } from './loopback.ts';

const CONFIG = Buffer.from('{}');
const LAYER = Buffer.from('layer');
const MANIFEST = manifestOf(CONFIG, [LAYER]);
const DIGEST = digestOf(MANIFEST);
const TYPED = { 'content-type': OCI_MANIFEST };

function indexOf(
  manifests: readonly { readonly mediaType: string; readonly bytes: Buffer }[],
): Buffer {
  return Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: OCI_INDEX,
      manifests: manifests.map(({ mediaType, bytes }) => ({
        mediaType,
        digest: digestOf(bytes),
        size: bytes.length,
      })),
    }),
  );
}

describe('manifest PUT', () => {
  it('words the same refusals as Artifact Registry does', async (t) => {
    const registry = await start(t, { dialect: 'artifact-registry' });
    const image = await ask(registry.url, 'PUT', '/v2/p/r/app/manifests/v1', {
      headers: TYPED,
      body: MANIFEST,
    });
    assert.deepEqual(image.codes, ['BLOB_UNKNOWN']);
    assert.match(image.body.toString(), new RegExp(digestOf(LAYER)));
    const index = await ask(registry.url, 'PUT', '/v2/p/r/app/manifests/v1', {
      headers: { 'content-type': OCI_INDEX },
      body: indexOf([{ mediaType: OCI_MANIFEST, bytes: MANIFEST }]),
    });
    assert.deepEqual(index.codes, ['MANIFEST_UNKNOWN']);
  });

  it('takes an index of blobs only where the registry does', async (t) => {
    for (const [dialect, repository, status] of [
      ['distribution', 'org/app', 201],
      ['artifact-registry', 'p/r/app', 400],
    ] as const) {
      const registry = await start(t, { dialect });
      registry.store.putBlob(repository, LAYER);
      const put = await ask(registry.url, 'PUT', `/v2/${repository}/manifests/cache`, {
        headers: { 'content-type': OCI_INDEX },
        body: indexOf([{ mediaType: OCI_LAYER_GZIP, bytes: LAYER }]),
      });
      assert.equal(put.status, status);
    }
  });

  it('refuses more than 4 MiB', async (t) => {
    const registry = await start(t);
    const put = await ask(registry.url, 'PUT', '/v2/org/app/manifests/v1', {
      headers: TYPED,
      body: Buffer.alloc(4 * 1024 * 1024 + 1, 0x20),
    });
    assert.equal(put.status, 413);
  });

  it('lets an immutable tag be pushed again with the same digest only', async (t) => {
    const registry = await start(t, {
      dialect: 'artifact-registry',
      switches: { immutableTags: true },
    });
    storeImage(registry, 'p/r/app', 'v1');
    registry.store.putBlob('p/r/app', CONFIG);
    registry.store.putBlob('p/r/app', LAYER);
    const path = '/v2/p/r/app/manifests/';
    const moved = await ask(registry.url, 'PUT', `${path}v1`, { headers: TYPED, body: MANIFEST });
    assert.equal(moved.status, 400);
    assert.deepEqual(moved.codes, ['FAILED_PRECONDITION']);
    for (const tag of ['v2', 'v2']) {
      const put = await ask(registry.url, 'PUT', path + tag, { headers: TYPED, body: MANIFEST });
      assert.equal(put.status, 201);
    }
  });

  it('says OCI-Subject where it has the referrers API', async (t) => {
    const registry = await start(t);
    registry.store.putBlob('org/app', CONFIG);
    registry.store.putBlob('org/app', LAYER);
    const subject = { mediaType: OCI_MANIFEST, digest: DIGEST, size: MANIFEST.length };
    const body = manifestOf(CONFIG, [LAYER], { subject });
    const path = '/v2/org/app/manifests/v1';
    const told = await ask(registry.url, 'PUT', path, { headers: TYPED, body });
    assert.equal(told.headers['oci-subject'], DIGEST);
    const google = await start(t, { dialect: 'artifact-registry' });
    google.store.putBlob('p/r/app', CONFIG);
    google.store.putBlob('p/r/app', LAYER);
    const silent = await ask(google.url, 'PUT', '/v2/p/r/app/manifests/v1', {
      headers: TYPED,
      body,
    });
    assert.deepEqual([silent.status, silent.headers['oci-subject']], [201, undefined]);
  });
});

describe('manifest GET', () => {
  it('tells the same by HEAD, without the bytes', async (t) => {
    const registry = await start(t);
    const digest = storeImage(registry, 'org/app', 'v1');
    const headers = { accept: OCI_MANIFEST };
    const got = await ask(registry.url, 'GET', '/v2/org/app/manifests/v1', { headers });
    const head = await ask(registry.url, 'HEAD', '/v2/org/app/manifests/v1', { headers });
    assert.equal(head.body.length, 0);
    assert.equal(head.headers['docker-content-digest'], digest);
    assert.equal(head.headers['content-length'], String(got.body.length));
    assert.equal(head.headers['content-type'], OCI_MANIFEST);
  });

  it('keeps the digest to itself where it is told to', async (t) => {
    const registry = await start(t, { switches: { contentDigest: false } });
    storeImage(registry, 'org/app', 'v1');
    const head = await ask(registry.url, 'HEAD', '/v2/org/app/manifests/v1', {
      headers: { accept: OCI_MANIFEST },
    });
    assert.equal(head.status, 200);
    assert.equal(head.headers['docker-content-digest'], undefined);
  });
});

describe('manifest DELETE', () => {
  it('removes a tag and leaves the manifest', async (t) => {
    const registry = await start(t);
    const digest = storeImage(registry, 'org/app', 'v1');
    assert.equal((await ask(registry.url, 'DELETE', '/v2/org/app/manifests/v1')).status, 202);
    assert.deepEqual(registry.store.tags('org/app'), []);
    assert.equal(registry.store.manifest('org/app', digest)?.digest, digest);
  });

  it('removes a manifest with its tags', async (t) => {
    const registry = await start(t);
    const digest = storeImage(registry, 'org/app', 'v1');
    const path = `/v2/org/app/manifests/${digest}`;
    assert.equal((await ask(registry.url, 'DELETE', path)).status, 202);
    assert.equal((await ask(registry.url, 'DELETE', path)).status, 404);
    assert.deepEqual(registry.store.tags('org/app'), []);
  });
});

describe('deletion at Artifact Registry', () => {
  it('refuses a tagged manifest until its tags have gone', async (t) => {
    const registry = await start(t, { dialect: 'artifact-registry' });
    const digest = storeImage(registry, 'p/r/app', 'v1');
    const path = '/v2/p/r/app/manifests/';
    const refused = await ask(registry.url, 'DELETE', path + digest);
    assert.deepEqual([refused.status, refused.codes], [400, ['FAILED_PRECONDITION']]);
    assert.equal((await ask(registry.url, 'DELETE', `${path}v1`)).status, 202);
    assert.equal((await ask(registry.url, 'DELETE', path + digest)).status, 202);
  });

  it('refuses the child of an index', async (t) => {
    const registry = await start(t, { dialect: 'artifact-registry' });
    const platform = { os: 'linux', architecture: 'amd64' };
    const image = buildImage({ layers: [textLayer('s', 'app', 64)], platform, created: EPOCH });
    await putImage(storeTarget(registry.store), 'p/r/app', buildIndex([{ image, platform }]), 'v1');
    const refused = await ask(registry.url, 'DELETE', `/v2/p/r/app/manifests/${image.root.digest}`);
    assert.deepEqual(refused.codes, ['FAILED_PRECONDITION']);
  });

  it('refuses an immutable tag', async (t) => {
    const registry = await start(t, {
      dialect: 'artifact-registry',
      switches: { immutableTags: true },
    });
    storeImage(registry, 'p/r/app', 'v1');
    const refused = await ask(registry.url, 'DELETE', '/v2/p/r/app/manifests/v1');
    assert.deepEqual(refused.codes, ['FAILED_PRECONDITION']);
  });
});
