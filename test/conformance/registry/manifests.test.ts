import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

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
