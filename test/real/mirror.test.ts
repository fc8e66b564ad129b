import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import {
  buildManifest,
  descriptorOf,
  jsonBlob,
  type BuiltManifest,
} from '../stand-ins/images/image.ts';
import { seedImages, type SeededRepository } from '../stand-ins/images/seed.ts';
import { httpTarget, type ImageTarget } from '../stand-ins/images/target.ts';
import {
  MANIFEST_TYPES,
  OCI_CONFIG,
  OCI_INDEX,
  OCI_MANIFEST,
} from '../stand-ins/registry/media-types.ts';
import { verifyRepository } from '../stand-ins/verifier/verifier.ts';
import { runEntry, type Ended } from '../flow/entry.ts';
import {
  findDistribution,
  findDockerRegistry,
  startDockerRegistry,
  type DockerRegistry,
} from './servers/docker-registry.ts';
import { required, skipUnless, type Search } from './servers/found.ts';
import { findDigestReaders } from './servers/tools.ts';

const pairs: readonly (readonly [string, Search, Search])[] = [
  ['docker-registry to docker-registry', findDockerRegistry(), findDockerRegistry()],
  ['docker-registry to distribution', findDockerRegistry(), findDistribution()],
  ['distribution to docker-registry', findDistribution(), findDockerRegistry()],
];
const readers = findDigestReaders();

interface Record {
  readonly tag: string;
  readonly outcome: string;
  readonly digest: string;
  readonly platformsLeftOut?: number;
}

interface Report {
  readonly repositories: readonly {
    readonly blobs: { readonly uploaded: number; readonly mounted: number };
    readonly destination: string;
    readonly tags: readonly Record[];
  }[];
  readonly summary: {
    readonly counts: Readonly<globalThis.Record<string, number>>;
    readonly bytesUploaded: number;
  };
}

/** An image of one layer, by its digest. */
async function pushImage(
  target: ImageTarget,
  repository: string,
  name: string,
  more: object = {},
): Promise<BuiltManifest> {
  const [config, layer] = [jsonBlob({ architecture: 'amd64', name }), jsonBlob(`layer of ${name}`)];
  for (const blob of [config, layer]) await target.putBlob(repository, blob);
  const manifest = buildManifest(OCI_MANIFEST, {
    config: descriptorOf(config, OCI_CONFIG),
    layers: [descriptorOf(layer, 'application/vnd.oci.image.layer.v1.tar')],
    ...more,
  });
  await target.putManifest(repository, manifest);
  return manifest;
}

for (const [name, from, to] of pairs) {
  describe(`the one-shot command from ${name}`, { skip: skipUnless(from, to) }, () => {
    let source: DockerRegistry;
    let destination: DockerRegistry;
    let seeded: readonly SeededRepository[];

    before(async () => {
      source = await startDockerRegistry(required(from));
      destination = await startDockerRegistry(required(to));
      const target = httpTarget({ url: source.url });
      seeded = await seedImages(target);
      target.close();
    });

    after(async () => {
      await source.stop();
      await destination.stop();
    });

    async function mirror(...args: readonly string[]): Promise<Ended> {
      return runEntry('functions/job.ts', [
        ...seeded.map(({ repository }) => `--image=${source.host}/${repository}`),
        `--destination-registry=${destination.host}/mirror`,
        ...args,
      ]);
    }

    function reportOf({ code, stdout, stderr }: Ended): Report {
      assert.equal(code, 0, stdout + stderr);
      return JSON.parse(stdout) as Report;
    }

    it('says what it would do and changes nothing with --dry-run', async () => {
      const { summary } = reportOf(await mirror('--dry-run', '-o', 'json'));
      assert.ok((summary.counts['would-copy'] ?? 0) >= 18);
      assert.equal(summary.counts['copied'], 0);
      const catalogue = await fetch(`${destination.url}/v2/_catalog`);
      assert.deepEqual(((await catalogue.json()) as { repositories: unknown }).repositories, []);
    });

    it('copies every tag, whole and with its digest', async () => {
      const report = reportOf(await mirror('-o', 'json'));
      assert.equal(report.summary.counts['failed'], 0);
      assert.ok((report.summary.counts['copied'] ?? 0) >= 18);
      for (const { destination: name, tags } of report.repositories) {
        const repository = name.slice(name.indexOf('/') + 1);
        const found = await verifyRepository({ url: destination.url, repository });
        assert.deepEqual(found.problems, [], repository);
        const digestOf = new Map(found.tags.map(({ tag, digest }) => [tag, digest]));
        for (const { tag, digest, outcome } of tags) {
          if (outcome === 'copied' && !/^sha256-[0-9a-f]{64}$/.test(tag)) {
            assert.equal(digestOf.get(tag), digest, `${repository}:${tag}`);
          }
        }
      }
    });

    for (const reader of readers) {
      it(`has digests that ${reader.name} agrees with`, async () => {
        for (const { repository, versions } of seeded) {
          for (const version of versions) {
            const { headers } = await fetch(`${source.url}/v2/${repository}/manifests/${version}`, {
              method: 'HEAD',
              headers: { accept: MANIFEST_TYPES.join(', ') },
            });
            const path = `mirror/${source.host.replace(':', '_')}/${repository}`;
            for (const name of [`${source.host}/${repository}`, `${destination.host}/${path}`]) {
              const digest = await reader.digestOf(`${name}:${version}`);
              assert.equal(digest, headers.get('docker-content-digest'));
            }
          }
        }
      });
    }

    it('brings what hangs on the children of an index, and images named after a digest', async () => {
      const repository = 'odd/app';
      const target = httpTarget({ url: source.url });
      const [child, sbom, own, bare] = await Promise.all([
        pushImage(target, repository, 'child'),
        pushImage(target, repository, 'sbom'),
        pushImage(target, repository, 'own'),
        pushImage(target, repository, 'bare', { mediaType: undefined }),
      ]);
      const indexOf = (image: BuiltManifest): BuiltManifest =>
        buildManifest(OCI_INDEX, { manifests: [descriptorOf(image, OCI_MANIFEST)] });
      const fallback = `sha256-${child.digest.slice('sha256:'.length)}`;
      const signature = `${fallback}.sig`;
      const named = `sha256-${'e'.repeat(64)}`;
      for (const [tag, manifest] of [
        [fallback, indexOf(sbom)],
        [signature, own],
        [named, own],
        ['v2', bare],
        ['v1', indexOf(child)],
      ] as const) {
        await target.putManifest(repository, manifest, tag);
      }
      target.close();

      const { summary, repositories } = reportOf(
        await runEntry('functions/job.ts', [
          `--image=${source.host}/${repository}`,
          `--destination-registry=${destination.host}/mirror`,
          ...['-o', 'json'],
        ]),
      );
      assert.equal(summary.counts['failed'], 0);
      const outcomes = Object.fromEntries(
        (repositories[0]?.tags ?? []).map(({ tag, outcome }) => [tag, outcome]),
      );
      const copied = [fallback, signature, 'v1', 'v2'].map((tag) => [tag, 'copied']);
      // The signature has brought the same manifest.
      assert.deepEqual(outcomes, { ...Object.fromEntries(copied), [named]: 'retagged' });
      const there = `mirror/${source.host.replace(':', '_')}/${repository}`;
      for (const { digest } of [child, sbom, own, bare]) {
        const answer = await fetch(`${destination.url}/v2/${there}/manifests/${digest}`, {
          headers: { accept: OCI_MANIFEST },
        });
        assert.equal(answer.status, 200, digest);
      }
    });

    it('finds nothing to do the second time and sends no byte', async () => {
      const { summary } = reportOf(await mirror('-o', 'json'));
      assert.equal(summary.bytesUploaded, 0);
      assert.equal(summary.counts['copied'], 0);
      // 18 versions, 3 signature tags, 3 lists of referrers.
      assert.equal(summary.counts['skipped'], 24);
    });
  });
}

const hosts: readonly (readonly [string, Search])[] = [
  ['docker-registry', findDockerRegistry()],
  ['distribution', findDistribution()],
];

for (const [name, host] of hosts) {
  describe(`a promotion within one ${name}`, { skip: skipUnless(host) }, () => {
    it('mounts every blob from its source and sends no byte', async (t) => {
      const registry = await startDockerRegistry(required(host));
      t.after(() => registry.stop());
      const target = httpTarget({ url: registry.url });
      const seeded = await seedImages(target);
      target.close();
      const { code, stdout, stderr } = await runEntry('functions/job.ts', [
        ...seeded.map(({ repository }) => `--image=${registry.host}/${repository}`),
        `--destination-registry=${registry.host}/prod`,
        '-o',
        'json',
      ]);
      assert.equal(code, 0, stdout + stderr);
      const { repositories, summary } = JSON.parse(stdout) as Report;
      assert.equal(summary.counts['failed'], 0);
      assert.ok((summary.counts['copied'] ?? 0) >= 18);
      assert.equal(summary.bytesUploaded, 0);
      for (const { destination, blobs } of repositories) {
        assert.equal(blobs.uploaded, 0, destination);
        assert.ok(blobs.mounted > 0, destination);
        const repository = destination.slice(destination.indexOf('/') + 1);
        const { problems } = await verifyRepository({ url: registry.url, repository });
        assert.deepEqual(problems, [], repository);
      }
    });
  });
}

const indexHosts: readonly (readonly [string, Search, boolean])[] = [
  ['docker-registry', findDockerRegistry(), false],
  ['distribution', findDistribution(), false],
  ['distribution that takes sparse indexes', findDistribution(), true],
];

for (const [name, host, sparseIndexes] of indexHosts) {
  describe(`two of three platforms in ${name}`, { skip: skipUnless(host) }, () => {
    it(sparseIndexes ? 'come alone, and the third on demand' : 'come with the third', async (t) => {
      const registry = await startDockerRegistry(required(host), { sparseIndexes });
      t.after(() => registry.stop());
      const target = httpTarget({ url: registry.url });
      const names = ['amd64', 'arm64', 's390x'];
      const children = await Promise.all(
        names.map(async (architecture) => ({
          ...descriptorOf(await pushImage(target, 'dev/app', architecture), OCI_MANIFEST),
          platform: { os: 'linux', architecture },
        })),
      );
      const index = buildManifest(OCI_INDEX, { manifests: children });
      await target.putManifest('dev/app', index, 'v1');
      target.close();

      async function mirror(platforms: string): Promise<Ended> {
        return runEntry('functions/job.ts', [
          `--image=${registry.host}/dev/app`,
          `--destination-registry=${registry.host}/prod`,
          '--destination-layout=name',
          `--platform=${platforms}`,
          '-o',
          'json',
        ]);
      }
      const arrived = async (): Promise<readonly string[]> => {
        const found = await Promise.all(
          children.map(async ({ digest: child }) => {
            const headers = { accept: OCI_MANIFEST };
            const path = `${registry.url}/v2/prod/app/manifests/${child}`;
            return (await fetch(path, { method: 'HEAD', headers })).ok;
          }),
        );
        return names.filter((_name, at) => found[at]);
      };

      const { code, stdout, stderr } = await mirror('linux/amd64,linux/arm64');
      assert.equal(code, 0, stdout + stderr);
      const [app] = (JSON.parse(stdout) as Report).repositories;
      assert.deepEqual(
        app?.tags.map((tag) => [tag.outcome, tag.digest, tag.platformsLeftOut]),
        [['copied', index.digest, sparseIndexes ? 1 : undefined]],
      );
      assert.deepEqual(await arrived(), sparseIndexes ? ['amd64', 'arm64'] : names);
      assert.equal(stderr.includes('takes no index without all its platforms'), !sparseIndexes);
      assert.equal((await mirror('all')).code, 0);
      assert.deepEqual(await arrived(), names);
    });
  });
}
