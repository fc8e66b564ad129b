import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';

import { referrersTag } from '../../../functions/oci/referrer-tags.ts';
import { blobOf, imageOf, imageWith, indexOf, manifestOf, type Image } from './images.ts';
import { DESTINATION_PATH, SOURCE_PATH, withLoopback, type Loopback } from './loopback.ts';
import { outcomes, recordOf } from './rig.ts';

const MIB = 1024 * 1024;

/** Reads a tag back from the destination's store and hashes everything that it names. */
function requireWhole(loopback: Loopback, reference: string): void {
  const { store } = loopback.destination;
  const stored = store.manifest(DESTINATION_PATH, reference);
  assert.ok(stored, `${reference} is there`);
  assert.equal(hashOf(stored.bytes), stored.digest);
  const document = JSON.parse(stored.bytes.toString()) as {
    readonly config?: { readonly digest: string };
    readonly layers?: readonly { readonly digest: string }[];
    readonly manifests?: readonly { readonly digest: string }[];
  };
  for (const { digest } of document.manifests ?? []) requireWhole(loopback, digest);
  const blobs = [
    ...(document.config === undefined ? [] : [document.config]),
    ...(document.layers ?? []),
  ];
  for (const { digest } of blobs) {
    const content = store.blob(DESTINATION_PATH, digest);
    assert.ok(content, `${digest} is there`);
    assert.equal(hashOf(Buffer.concat([...content.read(0, content.sizeBytes)])), digest);
  }
}

function hashOf(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** The image in another order of layers: same blobs, another digest. */
function moved(image: Image): Image {
  return imageOf('moved', image.blobs.slice(1));
}

describe('between registries on loopback', () => {
  for (const destination of ['google', 'plain'] as const) {
    it(`copies images and indexes whole (${destination})`, () =>
      withLoopback({ destination }, async (loopback) => {
        loopback.seed('v1', imageWith('single', 3, 100_000));
        loopback.seed('v2', indexOf([imageWith('amd64', 2), imageWith('arm64', 2)]));
        loopback.seed('v3', imageOf('empty layer', [blobOf('nothing', 0)]));
        const report = await loopback.process().mirror();
        assert.equal(report.counts.copied, 3);
        for (const tag of ['v1', 'v2', 'v3']) requireWhole(loopback, tag);
        const again = await loopback.process().mirror();
        assert.equal(again.counts.skipped, 3);
      }));

    it(`overwrites what moved (${destination})`, () =>
      withLoopback({ destination }, async (loopback) => {
        const image = imageWith('image', 2);
        loopback.seedDestination('latest', image);
        loopback.seed('latest', moved(image));
        const report = await loopback.process().mirror({ reason: 'requested' });
        const record = recordOf(report, 'latest');
        assert.equal(record.outcome, 'overwritten');
        assert.equal(record.previousDigest, image.manifest.digest);
        requireWhole(loopback, 'latest');
      }));

    it(`heals what the registry lost between upload and push (${destination})`, () =>
      withLoopback({ destination }, async (loopback) => {
        const image = imageWith('image', 3);
        loopback.seed('v1', image);
        loopback.destination.faults.add({
          method: 'PUT',
          kind: 'manifest',
          effect: {
            kind: 'event',
            before: () => {
              loopback.destination.store.collectGarbage();
            },
          },
        });
        const report = await loopback.process().mirror();
        assert.deepEqual(outcomes(report), { v1: 'copied' });
        requireWhole(loopback, 'v1');
      }));
  }

  it('tells a moved tag of an immutable repository as drifted', () =>
    withLoopback({ destinationOptions: { dialect: 'artifact-registry' } }, async (loopback) => {
      const image = imageWith('image', 1);
      loopback.seedDestination('v1', image);
      loopback.seed('v1', moved(image));
      loopback.destination.set({ immutableTags: true });
      const report = await loopback.process().mirror({ reason: 'requested' });
      const record = recordOf(report, 'v1');
      assert.deepEqual([record.outcome, record.reason], ['drifted', 'TagImmutable']);
      assert.equal(record.fault?.code, 'TAG_IMMUTABLE');
      assert.equal(record.previousDigest, image.manifest.digest);
      assert.deepEqual(report.unfinished, []);
    }));

  it('knows 3,000 tags of 4 manifests each, which a map is too small for', () =>
    withLoopback({}, async (loopback) => {
      const layer = blobOf('layer');
      for (let tag = 0; tag < 3000; tag += 1) {
        const index = indexOf(['a', 'b', 'c'].map((name) => imageOf(`${tag} ${name}`, [layer])));
        loopback.seed(`v${tag}`, index);
        if (tag !== 1500) loopback.seedDestination(`v${tag}`, index);
      }
      const report = await loopback.process().mirror();
      assert.equal(report.counts.skipped, 2999);
      assert.equal(report.counts.copied, 1);
      // Three pages of 1,000 tags tell what the map leaves out; children are looked for.
      assert.equal(loopback.destination.counter.count({ kind: 'api' }), 3);
      assert.equal(loopback.destination.counter.count({ method: 'HEAD', kind: 'manifest' }), 3);
      requireWhole(loopback, 'v1500');
    }));

  it('brings signatures and referrers after their subject', () =>
    withLoopback({}, async (loopback) => {
      const image = imageWith('image', 1);
      const sbom = imageOf('sbom', [blobOf('sbom')], {
        subject: image.manifest,
        artifactType: 'application/x.sbom',
      });
      const sig = `${referrersTag(image.manifest.digest)}.sig`;
      loopback.seed('v1', image);
      loopback.seed(sig, imageWith('sig', 1));
      loopback.seed(undefined, sbom);
      const report = await loopback.process().mirror({}, { options: { referrers: true } });
      const list = referrersTag(image.manifest.digest);
      assert.deepEqual(outcomes(report), { v1: 'copied', [sig]: 'copied', [list]: 'copied' });
      requireWhole(loopback, sig);
      // Artifact Registry keeps no list itself, so the fallback tag has it.
      requireWhole(loopback, list);
      requireWhole(loopback, sbom.manifest.digest);
    }));

  it('copies Docker schema 1, and layers of sha512, as they are', () =>
    withLoopback({ destination: 'plain' }, async (loopback) => {
      const { store } = loopback.source;
      const layer = blobOf('layer', 5000);
      const sha512 = `sha512:${createHash('sha512').update(layer.bytes).digest('hex')}`;
      const strong = imageOf('strong', [
        { ...layer, descriptor: { ...layer.descriptor, digest: sha512 } },
      ]);
      store.putBlob(SOURCE_PATH, layer.bytes, sha512);
      store.putBlob(SOURCE_PATH, strong.blobs[0]!.bytes);
      store.putManifest(SOURCE_PATH, strong.manifest, 'strong');
      store.putBlob(SOURCE_PATH, layer.bytes);
      const schema1 = manifestOf(
        {
          schemaVersion: 1,
          name: 'org/app',
          tag: 'old',
          architecture: 'amd64',
          fsLayers: [{ blobSum: layer.descriptor.digest }, { blobSum: layer.descriptor.digest }],
          history: [{ v1Compatibility: '{}' }, { v1Compatibility: '{}' }],
        },
        'application/vnd.docker.distribution.manifest.v1+json',
      );
      store.putManifest(SOURCE_PATH, schema1, 'old');
      const report = await loopback.process().mirror();
      assert.deepEqual(outcomes(report), { strong: 'copied', old: 'copied' });
      assert.ok(loopback.destination.store.blob(DESTINATION_PATH, sha512));
      const copied = loopback.destination.store.manifest(DESTINATION_PATH, 'old');
      assert.deepEqual(copied?.bytes, schema1.bytes);
    }));

  it('restarts a blob whose upload broke, and finishes', () =>
    withLoopback({}, async (loopback) => {
      loopback.seed('v1', imageWith('image', 2, 300_000));
      loopback.destination.faults.add({
        method: 'PUT',
        kind: 'upload',
        effect: { kind: 'reset', at: 'request-body', afterBytes: 1000 },
      });
      const report = await loopback.process().mirror();
      assert.deepEqual(outcomes(report), { v1: 'copied' });
      requireWhole(loopback, 'v1');
    }));

  it('sends a blob again, with its token, where an upload address wants one', () =>
    withLoopback({}, async (loopback) => {
      loopback.seed('v1', imageWith('image', 2, 300_000));
      loopback.destination.faults.add({
        method: 'PUT',
        kind: 'upload',
        when: ({ headers }) => headers.authorization === undefined,
        times: Number.POSITIVE_INFINITY,
        effect: { kind: 'answer', status: 401 },
      });
      const report = await loopback.process().mirror();
      assert.deepEqual(outcomes(report), { v1: 'copied' });
      requireWhole(loopback, 'v1');
    }));

  it('sends nothing again whose answer was lost', () =>
    withLoopback({}, async (loopback) => {
      loopback.seed('v1', imageWith('image', 1, 300_000));
      loopback.destination.faults.add({
        method: 'PUT',
        kind: 'upload',
        times: 2,
        effect: { kind: 'reset', at: 'commit' },
      });
      const report = await loopback.process().mirror();
      assert.deepEqual(outcomes(report), { v1: 'copied' });
      assert.equal(loopback.destination.counter.uploadedBytes, 300_064);
    }));

  it('resumes a download inside the same upload', () =>
    withLoopback({}, async (loopback) => {
      loopback.seed('v1', imageWith('image', 1, MIB));
      loopback.source.faults.add({
        method: 'GET',
        kind: 'blob',
        when: ({ path }) => !path.includes(imageWith('image', 1, MIB).blobs[0]!.descriptor.digest),
        effect: { kind: 'truncate', afterBytes: 300_000 },
      });
      const report = await loopback.process().mirror();
      assert.deepEqual(outcomes(report), { v1: 'copied' });
      assert.equal(loopback.destination.counter.uploadedBytes, MIB + 64);
      requireWhole(loopback, 'v1');
    }));

  it('never shows a tag whose bytes were wrong', () =>
    withLoopback({}, async (loopback) => {
      loopback.seed('v1', imageWith('image', 1, 100_000));
      loopback.source.faults.add({
        method: 'GET',
        kind: 'blob',
        times: Number.POSITIVE_INFINITY,
        effect: { kind: 'flip', atByte: 10 },
      });
      const report = await loopback.process().mirror();
      assert.equal(recordOf(report, 'v1').fault?.code, 'DIGEST_MISMATCH');
      assert.deepEqual(loopback.destination.store.tags(DESTINATION_PATH), []);
      assert.deepEqual(loopback.destination.store.blobs(DESTINATION_PATH), []);
    }));
});
