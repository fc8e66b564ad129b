import assert from 'node:assert/strict';
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
