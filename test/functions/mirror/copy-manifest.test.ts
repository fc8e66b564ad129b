import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { MirrorError } from '../../../functions/errors.ts';
import {
  blobOf,
  digestOf,
  entryOf,
  imageOf,
  imageWith,
  indexOf,
  manifestOf,
  platformIndex,
  writtenImage,
  OCI_CONFIG,
  OCI_INDEX,
  OCI_MANIFEST,
  type Blob,
  type Image,
} from './images.ts';
import { until } from '../../until.ts';
import { failing } from './fakes.ts';
import { recordOf, Rig } from './rig.ts';

const MAX_LAYERS = 2000;

/** Copies one image as `v1` and tells the outcome, or the code of its failure. */
async function copied(rig: Rig, image: Image): Promise<string> {
  rig.source.tag('v1', image);
  const { outcome, fault } = recordOf(await rig.mirror(), 'v1');
  return fault?.code ?? outcome;
}

/** Position of the call that begins with `prefix`. */
function at(calls: readonly string[], prefix: string): number {
  const index = calls.findIndex((call) => call.startsWith(prefix));
  assert.notEqual(index, -1, prefix);
  return index;
}

function nested(levels: number): Image {
  let image = imageWith('leaf', 1);
  for (let level = 0; level < levels; level += 1) image = indexOf([image]);
  return image;
}

describe('order of a copy', () => {
  it('is blobs, then children by digest, then the index by tag', async () => {
    const rig = new Rig();
    const [amd64, arm64] = [imageWith('amd64', 2), imageWith('arm64', 2)];
    const index = indexOf([amd64, arm64]);
    // What is pushed too early is refused by the fake: nothing may have been refused.
    assert.equal(await copied(rig, index), 'copied');
    const { calls } = rig.destination;
    for (const child of [amd64, arm64]) {
      const pushed = at(calls, `destination putManifest ${child.manifest.digest}`);
      for (const { descriptor } of child.blobs) {
        assert.ok(at(calls, `destination uploadBlob ${descriptor.digest}`) < pushed);
      }
      assert.ok(pushed < at(calls, 'destination putManifest v1'));
    }
    assert.equal(rig.destination.count('destination putManifest'), 3);
  });

  it('shows no tag while anything of it is missing', async () => {
    const rig = new Rig();
    const image = imageWith('image', 3);
    const cut = { ...image, blobs: image.blobs.slice(0, 3) };
    assert.equal(await copied(rig, cut), 'SOURCE_INCOMPLETE');
    assert.equal(rig.destination.count('destination putManifest'), 0);
  });
});

describe('an attestation that names its image', () => {
  it('is pushed after it, however long that takes: some registries want its subject first', async () => {
    const rig = new Rig();
    const { source, destination } = rig;
    const image = imageWith('amd64', 1, 100);
    const attestation = imageOf('attestation', [blobOf('in-toto')], { subject: image.manifest });
    const [{ digest: slow }] = [image.blobs[1]!.descriptor];
    destination.before.push(async (call) => {
      if (call === `destination uploadBlob ${slow}`)
        await until(() => rig.destination.blobs.has(attestation.blobs[1]!.descriptor.digest));
      const isEarly = !destination.manifests.has(image.manifest.digest);
      if (isEarly && call === `destination putManifest ${attestation.manifest.digest}`)
        throw new MirrorError('DESTINATION_INCOMPLETE', 'no subject', {
          digests: [image.manifest.digest],
        });
    });
    assert.ok(source.mayHaveReferrersApi);
    const index = platformIndex([
      { image, platform: 'linux/amd64' },
      { image: attestation, describes: image },
    ]);
    assert.equal(await copied(rig, index), 'copied');
    assert.equal(destination.count(`destination putManifest ${attestation.manifest.digest}`), 1);
  });
});

describe('formats', () => {
  it('copies images without layers, with the empty config and with empty blobs', async () => {
    const empty = blobOf('empty', 0);
    const artifactType = 'application/x.artifact';
    const fields = { artifactType, config: entryOf(empty.descriptor), layers: [] };
    assert.equal(await copied(new Rig(), writtenImage(fields, [empty])), 'copied');
    assert.equal(await copied(new Rig(), imageOf('zero', [blobOf('zero', 0)])), 'copied');
  });

  it('copies indexes 4 levels deep, and no deeper', async () => {
    assert.equal(await copied(new Rig(), nested(4)), 'copied');
    const rig = new Rig();
    assert.equal(await copied(rig, nested(5)), 'INDEX_TOO_DEEP');
    assert.equal(rig.destination.tags.size, 0);
  });

  it('copies an empty index', async () => {
    assert.equal(await copied(new Rig(), indexOf([])), 'copied');
  });

  it('copies 1,000 manifests below a tag, and no more', async () => {
    const config = blobOf('config', 2, OCI_CONFIG);
    const fields = { config: entryOf(config.descriptor), layers: [] };
    const child = (number: number): Image =>
      writtenImage({ ...fields, annotations: { number: String(number) } }, [config]);
    const many = (from: number, count: number): readonly Image[] =>
      Array.from({ length: count }, (_none, index) => child(from + index));
    const rig = new Rig();
    assert.equal(await copied(rig, indexOf([indexOf(many(0, 998)), child(998)])), 'copied');
    assert.equal(rig.destination.manifests.size, 1001);
    const tooMany = indexOf([indexOf(many(0, 998)), child(998), child(999)]);
    assert.equal(await copied(new Rig(), tooMany), 'GRAPH_TOO_LARGE');
  });

  it('copies a manifest of 2,000 layers, and refuses one of more', async () => {
    const layers = Array.from({ length: MAX_LAYERS + 1 }, (_none, n) => blobOf(`layer ${n}`, 32));
    const rig = new Rig();
    assert.equal(await copied(rig, imageOf('most', layers.slice(1))), 'copied');
    assert.equal(rig.destination.blobs.size, MAX_LAYERS + 1);
    const refusing = new Rig();
    assert.equal(await copied(refusing, imageOf('more', layers)), 'MANIFEST_TOO_LARGE');
    assert.equal(refusing.destination.blobs.size, 0);
  });

  it('copies the bytes as they are', async () => {
    const image = imageWith('image', 1);
    const odd = Buffer.from(`\n${image.manifest.bytes.toString()}  \n`);
    const manifest = { ...image.manifest, bytes: odd, digest: digestOf(odd) };
    const rig = new Rig();
    assert.equal(await copied(rig, { ...image, manifest }), 'copied');
    assert.deepEqual(rig.destination.tags.get('v1')?.bytes, odd);
  });

  it('guard foreign-layers: skips foreign layers, and says so where the destination wants them', async () => {
    const foreign = blobOf(
      'foreign',
      9,
      'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
    );
    const image = imageOf('windows', [foreign, blobOf('own')], { urls: ['http://example.com/'] });
    const rig = new Rig();
    assert.equal(await copied(rig, image), 'copied');
    assert.equal(rig.source.count(`source openBlob ${foreign.descriptor.digest}`), 0);
    const strict = new Rig();
    strict.destination.wantsForeignLayers = true;
    assert.equal(await copied(strict, image), 'FOREIGN_LAYER_REFUSED');
    assert.equal(strict.source.count(`source openBlob ${foreign.descriptor.digest}`), 0);
  });

  it('copies a layer of a foreign type that names no URL: its bytes are at the source', async () => {
    const type = 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip';
    const layer = blobOf('here', 9, type);
    const rig = new Rig();
    rig.destination.wantsForeignLayers = true;
    assert.equal(await copied(rig, imageOf('windows', [layer])), 'copied');
    assert.ok(rig.destination.blobs.has(layer.descriptor.digest));
  });

  it('takes embedded content for a blob that the source lacks, where it is that blob', async () => {
    const config = Buffer.from('{}');
    const descriptor = { mediaType: 'application/vnd.oci.empty.v1+json', digest: digestOf(config) };
    const embedding = (data: string, size: unknown = 2): Image =>
      writtenImage({ config: { ...descriptor, size, data }, layers: [] });
    for (const size of [2, undefined]) {
      const rig = new Rig();
      assert.equal(await copied(rig, embedding(config.toString('base64'), size)), 'copied');
      assert.deepEqual(rig.destination.blobs.get(descriptor.digest), config);
    }
    const other = embedding(Buffer.from('[]').toString('base64'));
    assert.equal(await copied(new Rig(), other), 'SOURCE_INCOMPLETE');
  });

  it('copies entries of an index that are no manifests as blobs', async () => {
    const cache = indexOf(
      [],
      [blobOf('cache layer'), blobOf('cache config', 5, 'application/x.c')],
    );
    const rig = new Rig();
    assert.equal(await copied(rig, cache), 'copied');
    assert.equal(rig.destination.count('destination uploadBlob'), 2);
    const strict = new Rig();
    strict.destination.acceptsAnyChild = false;
    assert.equal(await copied(strict, cache), 'INDEX_CHILD_REFUSED');
  });

  it('copies Docker schema 1 with sizes from the registry, each layer once', async () => {
    const layers = [blobOf('one', 10), blobOf('two', 20)];
    const type = 'application/vnd.docker.distribution.manifest.v1+json';
    const [one, two] = layers.map(({ descriptor }) => ({ blobSum: descriptor.digest }));
    const manifest = manifestOf(
      { schemaVersion: 1, name: 'app', tag: 'v1', fsLayers: [one, two, one], history: [] },
      type,
    );
    const rig = new Rig();
    assert.equal(await copied(rig, { manifest, blobs: layers, children: [] }), 'copied');
    assert.equal(rig.source.count('source blobSize'), 2);
    assert.equal(rig.destination.bytesReceived, 30);
  });

  it('copies what has an odd size or subject: the digests prove its bytes', async () => {
    const config = blobOf('config', 5, OCI_CONFIG);
    const layer = blobOf('layer', 10);
    const odd = ({ descriptor: { mediaType, digest } }: Blob): object => ({
      mediaType,
      digest,
      size: '10',
    });
    const document = {
      schemaVersion: '2',
      config: odd(config),
      layers: [odd(layer)],
      subject: 'none',
    };
    const manifest = manifestOf(document, OCI_MANIFEST);
    const rig = new Rig();
    assert.equal(await copied(rig, { manifest, blobs: [config, layer], children: [] }), 'copied');
    assert.equal(rig.destination.bytesReceived, 15);
    assert.equal(rig.destination.tags.get('v1')?.digest, manifest.digest);
  });

  it('fails only the tag whose child is missing at the source', async () => {
    const lost = imageWith('lost', 1);
    const rig = new Rig({ v2: imageWith('whole', 1), v1: indexOf([imageWith('kept', 1), lost]) });
    rig.source.manifests.delete(lost.manifest.digest);
    const report = await rig.mirror();
    assert.equal(recordOf(report, 'v1').fault?.code, 'SOURCE_INCOMPLETE');
    assert.equal(recordOf(report, 'v2').outcome, 'copied');
    assert.deepEqual(report.unfinished, []);
  });

  it('fails only the tag whose digest breaks the grammar', async () => {
    const layer = { ...blobOf('layer').descriptor, digest: 'sha256:../../etc/passwd' };
    const config = entryOf(blobOf('config').descriptor);
    const odd = writtenImage({ config, layers: [entryOf(layer)] });
    const rig = new Rig({ v1: odd, v2: imageWith('fine', 1), 'not/a tag': odd });
    const report = await rig.mirror();
    assert.equal(recordOf(report, 'v1').fault?.code, 'DIGEST_INVALID');
    assert.equal(recordOf(report, 'not/a tag').fault?.code, 'TAG_INVALID');
    assert.equal(recordOf(report, 'v2').outcome, 'copied');
  });

  it('refuses an ambiguous manifest', async () => {
    const ambiguous = writtenImage({ manifests: [{}], layers: [{}] }, [], OCI_INDEX);
    assert.equal(await copied(new Rig(), ambiguous), 'MANIFEST_INVALID');
  });

  it('stops sending the blobs of an image that can never be complete', async () => {
    const blobs = Array.from({ length: 30 }, (_none, index) =>
      blobOf(`layer ${index}`, 1024 * 1024),
    );
    const rig = new Rig({ v1: imageOf('v1', blobs) });
    rig.source.blobs.delete(blobs[0]!.descriptor.digest);
    await rig.mirror();
    assert.ok(rig.destination.bytesReceived < 30 * 1024 * 1024);
  });
});

describe('an image of which one blob fails for now', () => {
  it('gets all others, for the next delivery to go on with', async () => {
    const image = imageWith('image', 30);
    const rig = new Rig({ v1: image });
    const { digest } = image.blobs[1]!.descriptor;
    rig.source.before.push(failing(`source openBlob ${digest}`, 'NETWORK'));
    assert.equal(recordOf(await rig.mirror(), 'v1').fault?.code, 'NETWORK');
    assert.equal(rig.destination.blobs.size, 30);
  });
});

describe('what tags share', () => {
  it('reads and pushes a child of two indexes once', async () => {
    const base = imageWith('base', 1);
    const rig = new Rig({
      v1: indexOf([base, imageWith('1', 1)]),
      v2: indexOf([base, imageWith('2', 1)]),
    });
    await rig.mirror();
    assert.equal(rig.source.count(`source getManifest ${base.manifest.digest}`), 1);
    assert.equal(rig.destination.count(`destination putManifest ${base.manifest.digest}`), 1);
  });

  it('brings eight children of a tag’s index at once, and two of an index below', async () => {
    const children = Array.from({ length: 12 }, (_none, n) => imageWith(`child ${n}`, 0));
    const most = async (image: Image): Promise<number> => {
      const rig = new Rig();
      assert.equal(await copied(rig, image), 'copied');
      return rig.source.mostActive;
    };
    assert.deepEqual(
      [await most(indexOf(children)), await most(indexOf([indexOf(children)]))],
      [8, 2],
    );
  });

  it('leaves out a child that the destination has', async () => {
    const rig = new Rig();
    const base = imageWith('base', 1);
    rig.destination.add(base);
    assert.equal(await copied(rig, indexOf([base, imageWith('1', 1)])), 'copied');
    assert.equal(rig.source.count(`source getManifest ${base.manifest.digest}`), 0);
  });

  it('lets another tag try the child that one could not copy', async () => {
    const base = imageWith('base', 1);
    const rig = new Rig({ v1: indexOf([base]), v2: indexOf([base, imageWith('2', 1)]) });
    rig.source.before.push(failing(`source getManifest ${base.manifest.digest}`, 'NETWORK', 1));
    const report = await rig.mirror();
    assert.deepEqual([report.counts.failed, report.counts.copied], [1, 1]);
    assert.equal((await rig.mirror()).counts.copied, 1);
  });
});

describe('self-healing', () => {
  it('sends again, once and by force, a blob that the registry lost', async () => {
    const rig = new Rig();
    const image = imageWith('image', 3);
    const [, lost] = image.blobs;
    let collected = false;
    rig.destination.before.push((call) => {
      if (collected || !call.startsWith('destination putManifest')) return;
      collected = true;
      rig.destination.blobs.delete(lost!.descriptor.digest);
    });
    assert.equal(await copied(rig, image), 'copied');
    const { digest } = lost!.descriptor;
    assert.equal(rig.destination.count('destination uploadBlob'), 5);
    assert.equal(rig.destination.count(`destination uploadBlob ${digest} force`), 1);
  });

  it('heals for many tags that miss the same blob with one transfer', async () => {
    const rig = new Rig();
    const shared = blobOf('shared', 100);
    let pushes = 0;
    const all = Promise.withResolvers<undefined>();
    rig.destination.before.push(async (call) => {
      if (!call.startsWith('destination putManifest') || pushes >= 4) return;
      pushes += 1;
      rig.destination.blobs.delete(shared.descriptor.digest);
      if (pushes === 4) all.resolve(undefined);
      await all.promise;
    });
    for (let tag = 0; tag < 4; tag += 1) {
      rig.source.tag(`v${tag}`, imageOf(`v${tag}`, [shared, blobOf(`own ${tag}`)]));
    }
    const report = await rig.mirror();
    assert.equal(report.counts.copied, 4);
    const { digest } = shared.descriptor;
    assert.equal(rig.destination.count(`destination uploadBlob ${digest} force`), 1);
  });

  it('brings a child again that the map still had', async () => {
    const rig = new Rig();
    const [kept, lost] = [imageWith('kept', 1), imageWith('lost', 1)];
    rig.destination.add(kept).add(lost);
    rig.destination.before.push((call) => {
      if (call === 'destination putManifest v1') {
        rig.destination.before.length = 0;
        rig.destination.manifests.delete(lost.manifest.digest);
        rig.destination.blobs.clear();
      }
    });
    assert.equal(await copied(rig, indexOf([kept, lost])), 'copied');
    assert.equal(rig.destination.manifests.has(lost.manifest.digest), true);
  });

  it('forgets everything of a manifest where the registry names nothing', async () => {
    const rig = new Rig();
    const image = imageWith('image', 2);
    rig.destination.before.push(failing('destination putManifest', 'DESTINATION_INCOMPLETE', 1));
    assert.equal(await copied(rig, image), 'copied');
    assert.equal(rig.destination.count('destination uploadBlob'), 6);
    assert.equal(rig.destination.bytesReceived, 264);
  });

  it('brings the children of an index again where the registry names nothing', async () => {
    const rig = new Rig();
    const child = imageWith('child', 1);
    rig.destination.before.push(failing('destination putManifest v1', 'DESTINATION_INCOMPLETE', 1));
    assert.equal(await copied(rig, indexOf([child])), 'copied');
    assert.equal(rig.destination.count(`destination putManifest ${child.manifest.digest}`), 2);
  });

  it('fails transiently where healing does not help', async () => {
    const rig = new Rig();
    rig.destination.before.push(failing('destination putManifest', 'DESTINATION_INCOMPLETE'));
    assert.equal(await copied(rig, imageWith('image', 2)), 'DESTINATION_INCOMPLETE');
    assert.equal(rig.destination.count('destination putManifest'), 2);
  });

  it('takes what is sent again in vain for no progress', async () => {
    const image = imageWith('image', 1, 1_000_000);
    const rig = new Rig({ v1: image });
    const [, layer] = image.blobs;
    rig.destination.before.push((call) => {
      if (call !== 'destination putManifest v1') return;
      throw new MirrorError('DESTINATION_INCOMPLETE', 'it says so for ever', {
        side: 'destination',
        digests: [layer!.descriptor.digest],
      });
    });
    assert.equal((await rig.mirror()).progressed, true);
    const again = await rig.mirror({ tags: ['v1'] });
    assert.deepEqual([again.bytesUploaded, again.progressed], [1_000_000, false]);
  });

  it('heals a tag that was to be retagged only', async () => {
    const image = imageWith('image', 2);
    const rig = new Rig({}, { v0: image });
    rig.destination.blobs.delete(image.blobs[1]!.descriptor.digest);
    assert.equal(await copied(rig, image), 'retagged');
    assert.equal(rig.destination.count('destination uploadBlob'), 1);
  });

  it('reports a refusal as it is', async () => {
    const rig = new Rig();
    rig.destination.before.push(failing('destination putManifest', 'MANIFEST_REFUSED'));
    assert.equal(await copied(rig, imageWith('image', 1)), 'MANIFEST_REFUSED');
    assert.equal(rig.destination.count('destination putManifest'), 1);
  });
});
