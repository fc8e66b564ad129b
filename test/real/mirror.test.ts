import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, it } from 'node:test';

import { seedImages, type SeededRepository } from '../stand-ins/images/seed.ts';
import { httpTarget } from '../stand-ins/images/target.ts';
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

const OCI_INDEX = 'application/vnd.oci.image.index.v1+json';
const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json';

interface Written {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

async function pushBlob(url: string, repository: string, text: string): Promise<Written> {
  const digest = `sha256:${createHash('sha256').update(text).digest('hex')}`;
  const begun = await fetch(`${url}/v2/${repository}/blobs/uploads/`, { method: 'POST' });
  const session = new URL(begun.headers.get('location') ?? '', url);
  session.searchParams.set('digest', digest);
  const ended = await fetch(session, { method: 'PUT', body: text });
  assert.equal(ended.status, 201);
  return { mediaType: 'application/vnd.oci.image.layer.v1.tar', digest, size: text.length };
}

async function putManifest(
  url: string,
  repository: string,
  reference: string | undefined,
  document: object,
): Promise<Written> {
  const body = JSON.stringify(document);
  const digest = `sha256:${createHash('sha256').update(body).digest('hex')}`;
  const mediaType = 'manifests' in document ? OCI_INDEX : OCI_MANIFEST;
  const answer = await fetch(`${url}/v2/${repository}/manifests/${reference ?? digest}`, {
    method: 'PUT',
    headers: { 'content-type': mediaType },
    body,
  });
  assert.equal(answer.status, 201, await answer.text());
  return { mediaType, digest, size: body.length };
}

/** An image of one layer, by its digest. */
async function pushImage(
  url: string,
  repository: string,
  name: string,
  more: object = {},
): Promise<Written> {
  const config = await pushBlob(url, repository, JSON.stringify({ architecture: 'amd64', name }));
  const layer = await pushBlob(url, repository, `layer of ${name}`);
  return putManifest(url, repository, undefined, {
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: { ...config, mediaType: 'application/vnd.oci.image.config.v1+json' },
    layers: [layer],
    ...more,
  });
}

async function read(url: string, repository: string, { digest }: Written): Promise<object> {
  const headers = { accept: OCI_MANIFEST };
  const answer = await fetch(`${url}/v2/${repository}/manifests/${digest}`, { headers });
  return (await answer.json()) as object;
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
            const here = await reader.digestOf(`${source.host}/${repository}:${version}`);
            const path = `mirror/${source.host.replace(':', '_')}/${repository}`;
            assert.equal(await reader.digestOf(`${destination.host}/${path}:${version}`), here);
          }
        }
      });
    }

    it('brings what hangs on the children of an index, and images named after a digest', async () => {
      const repository = 'odd/app';
      const [child, sbom, own, bare] = await Promise.all([
        pushImage(source.url, repository, 'child'),
        pushImage(source.url, repository, 'sbom'),
        pushImage(source.url, repository, 'own'),
        pushImage(source.url, repository, 'bare', { mediaType: undefined }),
      ]);
      const list = { schemaVersion: 2, mediaType: OCI_INDEX, manifests: [sbom] };
      const fallback = `sha256-${child.digest.slice('sha256:'.length)}`;
      const signature = `${fallback}.sig`;
      const named = `sha256-${'e'.repeat(64)}`;
      await putManifest(source.url, repository, fallback, list);
      await putManifest(source.url, repository, signature, await read(source.url, repository, own));
      await putManifest(source.url, repository, named, await read(source.url, repository, own));
      await putManifest(source.url, repository, 'v2', await read(source.url, repository, bare));
      const index = { schemaVersion: 2, mediaType: OCI_INDEX, manifests: [child] };
      await putManifest(source.url, repository, 'v1', index);

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
      const { url } = registry;
      const names = ['amd64', 'arm64', 's390x'];
      const children = await Promise.all(
        names.map(async (architecture) => ({
          ...(await pushImage(url, 'dev/app', architecture)),
          platform: { os: 'linux', architecture },
        })),
      );
      const index = { schemaVersion: 2, mediaType: OCI_INDEX, manifests: children };
      const { digest } = await putManifest(url, 'dev/app', 'v1', index);

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
            const path = `${url}/v2/prod/app/manifests/${child}`;
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
        [['copied', digest, sparseIndexes ? 1 : undefined]],
      );
      assert.deepEqual(await arrived(), sparseIndexes ? ['amd64', 'arm64'] : names);
      assert.equal(stderr.includes('takes no index without all its platforms'), !sparseIndexes);
      assert.equal((await mirror('all')).code, 0);
      assert.deepEqual(await arrived(), names);
    });
  });
}
