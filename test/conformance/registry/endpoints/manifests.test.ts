import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { buildIndex, buildImage, textLayer, EPOCH } from '../../../stand-ins/images/image.ts';
import { putImage, storeTarget } from '../../../stand-ins/images/target.ts';
import { digestOf } from '../../../stand-ins/registry/digest.ts';
import {
  DOCKER_LIST,
  DOCKER_MANIFEST,
  OCI_INDEX,
  OCI_LAYER_GZIP,
  OCI_MANIFEST,
} from '../../../stand-ins/registry/media-types.ts';
import { ask, manifestOf, pushBlob, start, storeImage } from '../loopback.ts';

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
  it('files a manifest under tag and digest once its blobs are there', async (t) => {
    const registry = await start(t);
    await pushBlob(registry.url, 'org/app', CONFIG);
    await pushBlob(registry.url, 'org/app', LAYER);
    const put = await ask(registry.url, 'PUT', '/v2/org/app/manifests/v1', {
      headers: TYPED,
      body: MANIFEST,
    });
    assert.equal(put.status, 201);
    assert.equal(put.headers['docker-content-digest'], DIGEST);
    assert.equal(put.headers.location, `${registry.url}/v2/org/app/manifests/${DIGEST}`);
    for (const reference of ['v1', DIGEST]) {
      const got = await ask(registry.url, 'GET', `/v2/org/app/manifests/${reference}`, {
        headers: { accept: OCI_MANIFEST },
      });
      assert.deepEqual(got.body, MANIFEST);
      assert.equal(got.headers['docker-content-digest'], DIGEST);
    }
  });

  it('names every missing blob, as digest in the detail', async (t) => {
    const registry = await start(t);
    const put = await ask(registry.url, 'PUT', '/v2/org/app/manifests/v1', {
      headers: TYPED,
      body: MANIFEST,
    });
    assert.equal(put.status, 400);
    assert.deepEqual(
      (put.json as { errors: { code: string; detail: string }[] }).errors.map((entry) => [
        entry.code,
        entry.detail,
      ]),
      [
        ['MANIFEST_BLOB_UNKNOWN', digestOf(CONFIG)],
        ['MANIFEST_BLOB_UNKNOWN', digestOf(LAYER)],
      ],
    );
    assert.deepEqual(registry.store.tags('org/app'), []);
  });

  it('names the child that an index lacks', async (t) => {
    const registry = await start(t);
    const put = await ask(registry.url, 'PUT', '/v2/org/app/manifests/v1', {
      headers: { 'content-type': OCI_INDEX },
      body: indexOf([{ mediaType: OCI_MANIFEST, bytes: MANIFEST }]),
    });
    assert.deepEqual(put.codes, ['MANIFEST_BLOB_UNKNOWN']);
    assert.match(put.body.toString(), new RegExp(DIGEST));
  });

  it('words the same refusals as Artifact Registry does', async (t) => {
    const registry = await start(t, { personality: 'artifact-registry' });
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
    for (const [personality, repository, status] of [
      ['distribution', 'org/app', 201],
      ['artifact-registry', 'p/r/app', 400],
    ] as const) {
      const registry = await start(t, { personality });
      registry.store.putBlob(repository, LAYER);
      const put = await ask(registry.url, 'PUT', `/v2/${repository}/manifests/cache`, {
        headers: { 'content-type': OCI_INDEX },
        body: indexOf([{ mediaType: OCI_LAYER_GZIP, bytes: LAYER }]),
      });
      assert.equal(put.status, status);
    }
  });

  it('takes or refuses a layer that is kept elsewhere', async (t) => {
    const registry = await start(t);
    registry.store.putBlob('org/app', CONFIG);
    const foreign = {
      mediaType: 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
      digest: digestOf('elsewhere'),
      size: 9,
      urls: ['https://example.com/layer'],
    };
    const body = manifestOf(CONFIG, [], { layers: [foreign] });
    const path = '/v2/org/app/manifests/v1';
    assert.equal((await ask(registry.url, 'PUT', path, { headers: TYPED, body })).status, 201);
    registry.set({ foreignLayers: 'refused' });
    const refused = await ask(registry.url, 'PUT', path, { headers: TYPED, body });
    assert.equal(refused.status, 500);
    assert.deepEqual(refused.codes, ['UNKNOWN', 'MANIFEST_BLOB_UNKNOWN']);
  });

  const malformed: readonly (readonly [string, string, string, Buffer, string])[] = [
    ['a wrong digest', digestOf('other'), OCI_MANIFEST, MANIFEST, 'DIGEST_INVALID'],
    ['no JSON', 'v1', OCI_MANIFEST, Buffer.from('{'), 'MANIFEST_INVALID'],
    ['no type of a manifest', 'v1', 'application/json', MANIFEST, 'MANIFEST_INVALID'],
    ['another type than its own', 'v1', DOCKER_MANIFEST, MANIFEST, 'MANIFEST_INVALID'],
    ['a tag outside the grammar', '-v1', OCI_MANIFEST, MANIFEST, 'MANIFEST_INVALID'],
  ];
  for (const [name, reference, contentType, body, code] of malformed) {
    it(`refuses ${name}`, async (t) => {
      const registry = await start(t);
      const put = await ask(registry.url, 'PUT', `/v2/org/app/manifests/${reference}`, {
        headers: { 'content-type': contentType },
        body,
      });
      assert.equal(put.status, 400);
      assert.deepEqual(put.codes, [code]);
    });
  }

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
      personality: 'artifact-registry',
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
    registry.set({ subjectHeader: false });
    const silent = await ask(registry.url, 'PUT', path, { headers: TYPED, body });
    assert.equal(silent.headers['oci-subject'], undefined);
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

  for (const accept of [undefined, '*/*', DOCKER_MANIFEST]) {
    it(`hides an OCI manifest from a reader that accepts ${accept ?? 'nothing'}`, async (t) => {
      const registry = await start(t);
      storeImage(registry, 'org/app', 'v1');
      const answer = await ask(registry.url, 'GET', '/v2/org/app/manifests/v1', {
        headers: accept === undefined ? {} : { accept },
      });
      assert.equal(answer.status, 404);
      assert.deepEqual(answer.codes, ['MANIFEST_UNKNOWN']);
    });
  }

  it('shows the linux/amd64 manifest of a list that is not accepted', async (t) => {
    const registry = await start(t);
    const image = buildImage({
      layers: [textLayer('a', 'app', 100)],
      platform: { os: 'linux', architecture: 'amd64' },
      created: EPOCH,
      format: 'docker',
    });
    const platform = { os: 'linux', architecture: 'amd64' };
    const list = buildIndex([{ image, platform }], 'docker');
    await putImage(storeTarget(registry.store), 'org/app', list, 'v1');
    const digestFor = async (accept: string): Promise<unknown> =>
      (await ask(registry.url, 'HEAD', '/v2/org/app/manifests/v1', { headers: { accept } }))
        .headers['docker-content-digest'];
    assert.equal(await digestFor(DOCKER_MANIFEST), image.root.digest);
    assert.equal(await digestFor(`${DOCKER_MANIFEST}, ${DOCKER_LIST};q=0.5`), list.root.digest);
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

  it('is refused where deletion is off', async (t) => {
    const registry = await start(t, { switches: { deletion: false } });
    storeImage(registry, 'org/app', 'v1');
    assert.equal((await ask(registry.url, 'DELETE', '/v2/org/app/manifests/v1')).status, 405);
  });
});
