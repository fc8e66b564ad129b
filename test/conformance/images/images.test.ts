import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { buildRelease, putRelease, type ReleaseLine } from '../../stand-ins/images/release.ts';
import { DEFAULT_LINES, nextRelease, seedImages } from '../../stand-ins/images/seed.ts';
import { putSyntheticImage, syntheticLayer } from '../../stand-ins/images/synthetic.ts';
import { httpTarget, putImage, storeTarget } from '../../stand-ins/images/target.ts';
import { bytesOf } from '../../stand-ins/registry/content.ts';
import { digestOf } from '../../stand-ins/registry/digest.ts';
import { verifyRepository } from '../../stand-ins/verifier/verifier.ts';
import { start } from '../registry/loopback.ts';

const KINDS: readonly (readonly [ReleaseLine['kind'], number])[] = [
  ['image', 1],
  ['docker-image', 1],
  ['multi-platform', 1],
  ['chart', 1],
  ['signed', 2],
  ['referred', 2],
];

describe('release', () => {
  for (const [kind, tags] of KINDS) {
    it(`of kind ${kind} can be pulled whole, with ${tags} tag(s)`, async (t) => {
      const registry = await start(t);
      const line = { repository: 'demo/app', kind };
      const written = await putRelease(storeTarget(registry.store), line, '1.0.0', 'seed');
      assert.equal(written.length, tags);
      assert.equal(written[0], '1.0.0');
      const { repository } = line;
      const report = await verifyRepository({ url: registry.url, repository });
      assert.deepEqual(report.problems, []);
      assert.deepEqual(
        report.tags.map(({ tag }) => tag),
        [...written].sort(),
      );
    });
  }

  it('shares its base with every other of the seed, and adds one layer to the last', () => {
    const line = { repository: 'demo/app', kind: 'image' } as const;
    const digests = (repository: string, version: string): ReadonlySet<string> =>
      new Set(
        buildRelease({ ...line, repository }, version, 'seed').blobs.map(({ digest }) => digest),
      );
    const first = digests('demo/app', '1.0.0');
    const shared = (other: ReadonlySet<string>): number =>
      [...first].filter((digest) => other.has(digest)).length;
    assert.equal(first.size, 4);
    assert.equal(shared(digests('demo/app', '1.0.1')), 2);
    assert.equal(shared(digests('demo/other', '1.0.0')), 1);
  });
});

describe('layer of a release', () => {
  it('is an archive that tar reads, with the digest that the config names', (t) => {
    const { root, blobs } = buildRelease({ repository: 'demo/app', kind: 'image' }, '1.0.0', 's');
    const { config, layers } = JSON.parse(root.bytes.toString()) as Record<
      'config' | 'layers',
      unknown
    > as { config: { digest: string }; layers: { digest: string }[] };
    const bytesOfBlob = (digest: string): Buffer =>
      blobs.find((blob) => blob.digest === digest)?.bytes ?? Buffer.alloc(0);
    const archives = layers.map(({ digest }) => gunzipSync(bytesOfBlob(digest)));
    const { rootfs } = JSON.parse(bytesOfBlob(config.digest).toString()) as {
      rootfs: { diff_ids: string[] };
    };
    assert.deepEqual(
      rootfs.diff_ids,
      archives.map((archive) => digestOf(archive)),
    );
    const { status, stdout, error } = spawnSync('tar', ['-tvf', '-'], {
      input: archives.at(-1),
      encoding: 'utf8',
    });
    if (error !== undefined) {
      t.skip('no tar on this machine');
      return;
    }
    assert.equal(status, 0);
    assert.match(
      stdout,
      /^drwxr-xr-x root\/root .* app\/\n-rw-r--r-- root\/root +12288 .* app\/part-0/,
    );
  });
});

describe('seed', () => {
  it('fills a registry with one repository of each kind, the same each time', async (t) => {
    const one = await start(t);
    const two = await start(t);
    const seeded = await seedImages(storeTarget(one.store));
    await seedImages(storeTarget(two.store));
    assert.deepEqual(
      seeded.map(({ repository }) => repository),
      DEFAULT_LINES.map(({ repository }) => repository),
    );
    for (const { repository, versions } of seeded) {
      assert.deepEqual(versions, ['1.0.0', '1.0.1', '1.0.2']);
      for (const tag of one.store.tags(repository)) {
        assert.equal(
          one.store.digestOfTag(repository, tag),
          two.store.digestOfTag(repository, tag),
        );
      }
    }
  });

  it('goes on with the next version', async (t) => {
    const registry = await start(t);
    const target = storeTarget(registry.store);
    const lines = [{ repository: 'demo/payments', kind: 'signed' }] as const;
    const [repository] = await seedImages(target, { lines, releases: 1, seed: 'x' });
    const next = await nextRelease(target, repository!, 'x');
    assert.deepEqual(next.versions, ['1.0.0', '1.0.1']);
    assert.equal(registry.store.tags('demo/payments').length, 4);
  });
});

describe('synthetic layer', () => {
  for (const sizeBytes of [1, 61_440, 300_000, 1_000_000]) {
    it(`of ${sizeBytes} bytes is a gzip stream of an archive, from any offset`, () => {
      const { content, digest, diffId } = syntheticLayer('seed', sizeBytes);
      const whole = bytesOf(content);
      assert.equal(whole.length, content.sizeBytes);
      assert.ok(Math.abs(whole.length - sizeBytes) < 2100 + sizeBytes / 1000);
      assert.equal(digestOf(whole), digest);
      const archive = gunzipSync(whole);
      assert.equal(digestOf(archive), diffId);
      assert.equal(archive.toString('latin1', 257, 262), 'ustar');
      const points = [
        0,
        1,
        9,
        10,
        11,
        15,
        16,
        61_454,
        61_455,
        61_456,
        whole.length - 9,
        whole.length - 8,
        whole.length,
      ];
      for (const start of points) {
        for (const end of points.filter((point) => point >= start && point <= whole.length)) {
          const part = Buffer.concat([...content.read(start, end)]);
          assert.ok(part.equals(whole.subarray(start, end)), `${start}-${end}`);
        }
      }
    });
  }
});

describe('synthetic image', () => {
  it('is pulled like any other', async (t) => {
    const registry = await start(t);
    const layers = ['a', 'b'].map((seed) => syntheticLayer(seed, 200_000));
    const manifest = putSyntheticImage(registry.store, 'big/app', 'v1', layers);
    const report = await verifyRepository({ url: registry.url, repository: 'big/app' });
    assert.deepEqual(report.problems, []);
    assert.equal(report.tags[0]?.digest, manifest.digest);
    assert.equal(report.blobs, 3);
  });
});

const IMAGE = buildRelease({ repository: 'demo/web', kind: 'multi-platform' }, '1.0.0', 'seed');

describe('image target', () => {
  it('puts into a store what it pushes over HTTP', async (t) => {
    const direct = await start(t);
    await putImage(storeTarget(direct.store), 'demo/web', IMAGE, 'v1');
    const pushed = await start(t);
    const target = httpTarget({ url: pushed.url });
    await putImage(target, 'demo/web', IMAGE, 'v1');
    await putImage(target, 'demo/web', IMAGE, 'v2');
    target.close();
    assert.deepEqual(
      pushed.store.blobs('demo/web').toSorted(),
      direct.store.blobs('demo/web').toSorted(),
    );
    assert.deepEqual(pushed.store.tags('demo/web'), ['v1', 'v2']);
    assert.equal(
      pushed.store.manifests('demo/web').length,
      direct.store.manifests('demo/web').length,
    );
  });
});
