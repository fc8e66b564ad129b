import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { gunzipSync } from 'node:zlib';
import {
  buildImage,
  buildIndex,
  buildLayer,
  EPOCH,
  textLayer,
  type BuiltImage,
  type ImageFormat,
} from '../../stand-ins/images/image.ts';
import { digestOf } from '../../stand-ins/registry/digest.ts';
import { readManifest } from '../../stand-ins/registry/manifest.ts';
import * as types from '../../stand-ins/registry/media-types.ts';

const AMD64 = { os: 'linux', architecture: 'amd64' };

function imageOf(seed: string, format: ImageFormat = 'oci'): BuiltImage {
  const layers = [textLayer('base', 'base', 1000), textLayer(seed, 'app', 1000)];
  return buildImage({ layers, platform: AMD64, created: EPOCH, format, labels: { seed } });
}

describe('layer', () => {
  it('is a compressed archive with the digest of both', () => {
    const layer = buildLayer([{ path: 'a.txt', bytes: Buffer.from('a') }], 'COPY a.txt');
    assert.equal(layer.digest, digestOf(layer.bytes));
    assert.equal(layer.diffId, digestOf(gunzipSync(layer.bytes)));
  });
});

describe('image', () => {
  for (const [format, manifest, config, layer] of [
    ['oci', types.OCI_MANIFEST, types.OCI_CONFIG, types.OCI_LAYER_GZIP],
    ['docker', types.DOCKER_MANIFEST, types.DOCKER_CONFIG, types.DOCKER_LAYER_GZIP],
  ] as const) {
    it(`has the media types of ${format}`, () => {
      const { root } = imageOf('a', format);
      assert.equal(root.mediaType, manifest);
      assert.equal(root.digest, digestOf(root.bytes));
      const { blobs } = readManifest(root.mediaType, root.bytes);
      assert.deepEqual(
        blobs.map(({ mediaType }) => mediaType),
        [config, layer, layer],
      );
    });
  }

  it('has every blob that its manifest names, and a config that names the archives', () => {
    const { root, blobs } = imageOf('a');
    const named = readManifest(root.mediaType, root.bytes).blobs;
    const built = new Map(blobs.map((blob) => [blob.digest, blob.bytes]));
    for (const { digest, size } of named) assert.equal(built.get(digest)?.length, size);
    const config = JSON.parse(built.get(named[0]?.digest ?? '')?.toString() ?? '') as {
      rootfs: { diff_ids: string[] };
    };
    assert.deepEqual(
      config.rootfs.diff_ids,
      named.slice(1).map(({ digest }) => digestOf(gunzipSync(built.get(digest)!))),
    );
  });

  it('depends on its seed alone', () => {
    assert.equal(imageOf('a').root.digest, imageOf('a').root.digest);
    assert.notEqual(imageOf('a').root.digest, imageOf('b').root.digest);
  });
});

describe('index', () => {
  it('lists its images with platforms and has their blobs once', () => {
    const one = imageOf('a');
    const two = imageOf('b');
    const arm = { os: 'linux', architecture: 'arm64', variant: 'v8' };
    const index = buildIndex([
      { image: one, platform: AMD64 },
      { image: two, platform: arm },
    ]);
    assert.equal(index.root.mediaType, types.OCI_INDEX);
    const { children } = readManifest(index.root.mediaType, index.root.bytes);
    assert.deepEqual(
      children.map(({ digest }) => digest),
      [one.root.digest, two.root.digest],
    );
    assert.deepEqual(children[1]?.platform, arm);
    assert.deepEqual(index.children, [one.root, two.root]);
    assert.equal(index.blobs.length, 5);
    const list = buildIndex([{ image: one, platform: AMD64 }], 'docker');
    assert.equal(list.root.mediaType, types.DOCKER_LIST);
  });
});
