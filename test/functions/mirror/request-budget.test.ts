import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { MirrorOptions } from '../../../functions/mirror/options.ts';
import { platformsOf } from '../../../functions/mirror/platforms.ts';
import { blobOf, imageOf, imageWith, indexOf, platformIndex } from './images.ts';
import {
  DESTINATION_PATH,
  withLoopback,
  type Loopback,
  type LoopbackOptions,
  type Process,
} from './loopback.ts';

/** Exchanges of one event: with a source token at hand, and in a process that just started. */
interface Budget {
  readonly warm: number;
  readonly fresh: number;
}

interface Row {
  readonly name: string;
  /** Destination with a digest map, credentials sent unasked. */
  readonly google: Budget;
  /** Destination without a map; in a fresh process it uses bearer tokens. */
  readonly plain?: Budget;
  readonly seed: (registries: Loopback) => void;
  readonly options?: Partial<MirrorOptions>;
  readonly registries?: LoopbackOptions;
  /** Distinct bytes that have to move. */
  readonly expectBytes?: number;
}

const LAYERS = 5;

/** Tags of images that share nothing. */
function seedTags(registries: Loopback, count: number): void {
  for (let tag = 0; tag < count; tag += 1) registries.seed(`v${tag}`, imageWith(`v${tag}`, LAYERS));
}

function seedUnchanged(registries: Loopback): void {
  for (let tag = 0; tag < 20; tag += 1) {
    const image = imageWith(`unchanged ${tag}`, LAYERS);
    registries.seed(`v${tag}`, image);
    registries.seedDestination(`v${tag}`, image);
  }
}

function seedOneMore(registries: Loopback): void {
  seedUnchanged(registries);
  registries.seed('new', imageWith('new', LAYERS));
}

const VERIFY_ALL = { verifyTags: 'all' } as const;

const ROWS: readonly Row[] = [
  {
    name: 'cold, 1 tag of 5 layers',
    google: { warm: 22, fresh: 24 },
    plain: { warm: 22, fresh: 26 },
    seed: (registries) => {
      registries.seed('v1', imageWith('v1', LAYERS));
    },
  },
  {
    name: 'cold, index of 2 platforms that share no blob',
    google: { warm: 44, fresh: 46 },
    plain: { warm: 46, fresh: 50 },
    seed: (registries) => {
      registries.seed('v1', indexOf([imageWith('amd64', LAYERS), imageWith('arm64', LAYERS)]));
    },
  },
  {
    name: '20 unchanged, nothing verified',
    google: { warm: 2, fresh: 4 },
    plain: { warm: 2, fresh: 6 },
    seed: seedUnchanged,
  },
  ...(['mutable', 'all', 'none'] as const).map((verifyTags): Row => ({
    name: `20 unchanged, both sides tell digests, VERIFY_TAGS=${verifyTags}`,
    google: { warm: 2, fresh: 2 },
    registries: { source: 'google' },
    seed: seedUnchanged,
    options: { verifyTags },
  })),
  {
    name: '20 unchanged, all verified',
    google: { warm: 22, fresh: 24 },
    plain: { warm: 42, fresh: 46 },
    seed: seedUnchanged,
    options: VERIFY_ALL,
  },
  {
    name: '20 unchanged and 1 new',
    google: { warm: 22, fresh: 24 },
    plain: { warm: 22, fresh: 26 },
    seed: seedOneMore,
  },
  {
    name: '20 unchanged and 1 new, all verified',
    google: { warm: 42, fresh: 44 },
    plain: { warm: 62, fresh: 66 },
    seed: seedOneMore,
    options: VERIFY_ALL,
  },
  {
    name: 'cold, 20 tags that share nothing',
    google: { warm: 402, fresh: 404 },
    plain: { warm: 402, fresh: 406 },
    seed: (registries) => {
      seedTags(registries, 20);
    },
  },
  {
    name: 'cold, 10 tags that share 4 of 5 layers',
    google: { warm: 94, fresh: 96 },
    plain: { warm: 94, fresh: 98 },
    seed: (registries) => {
      const shared = Array.from({ length: 4 }, (_none, index) => blobOf(`shared ${index}`, 1000));
      for (let tag = 0; tag < 10; tag += 1) {
        registries.seed(`v${tag}`, imageOf(`v${tag}`, [...shared, blobOf(`own ${tag}`, 1000)]));
      }
    },
    expectBytes: 4 * 1000 + 10 * 1000 + 10 * 64,
  },
];

async function exchanges(
  row: Row,
  registries: LoopbackOptions,
  state: 'warm' | 'fresh',
): Promise<void> {
  const destination = registries.destination === 'google' ? row.google : row.plain;
  await withLoopback({ ...row.registries, ...registries }, async (loopback) => {
    const process = loopback.process();
    const options = row.options ?? {};
    if (state === 'warm') {
      // Both tokens are had by looking at repositories without tags.
      await process.mirror({}, { options });
      loopback.takeRequests();
    }
    row.seed(loopback);
    const report = await process.mirror({}, { options });
    assert.equal(report.counts.failed, 0);
    const { summary } = loopback;
    const uploaded = loopback.destination.counter.uploadedBytes;
    assert.equal(loopback.takeRequests(), destination?.[state], summary);
    assert.equal(uploaded, report.bytesUploaded);
    if (row.expectBytes !== undefined) assert.equal(uploaded, row.expectBytes);
  });
}

describe('requests of an event', () => {
  for (const row of ROWS) {
    it(`${row.name}: ${row.google.warm} with a token at hand`, () =>
      exchanges(row, { destination: 'google' }, 'warm'));
    it(`${row.name}: ${row.google.fresh} in a fresh process`, () =>
      exchanges(row, { destination: 'google' }, 'fresh'));
    const { plain } = row;
    if (plain === undefined) continue;
    it(`${row.name}: ${plain.warm} to a plain destination`, () =>
      exchanges(row, { destination: 'plain' }, 'warm'));
    it(`${row.name}: ${plain.fresh} to a plain destination with bearer tokens, fresh`, () =>
      exchanges(row, { destination: 'plain-bearer' }, 'fresh'));
  }
});

describe('requests beyond the table', () => {
  it('asks once for each blob of 4 MiB or more where the mount proves nothing', () =>
    withLoopback({}, async (loopback) => {
      const large = [blobOf('large 1', 4 * 1024 * 1024), blobOf('large 2', 4 * 1024 * 1024)];
      loopback.seed('v1', imageOf('v1', [...large, blobOf('small')]));
      await loopback.process().mirror();
      assert.equal(loopback.takeRequests(), 2 + 2 + 1 + 4 * 3 + 1 + 2);
    }));

  it('spends one token and no 401 on a second repository of a known host', () =>
    withLoopback({}, async (loopback) => {
      const process = loopback.process();
      await process.mirror();
      loopback.takeRequests();
      const sourcePath = 'upstream/images/org/other';
      loopback.seed('v1', imageWith('other', LAYERS), sourcePath);
      const destinationPath = 'project/mirror/ghcr.io/org/other';
      const report = await process.mirror({}, { sourcePath, destinationPath });
      assert.equal(report.counts.copied, 1);
      assert.equal(loopback.source.counter.count({ status: 401 }), 0);
      assert.equal(loopback.source.counter.count({ kind: 'token' }), 1);
      assert.equal(loopback.takeRequests(), 22 + 1);
    }));

  for (const { singlePost, requests } of [
    // 2 lists, the manifest's GET and PUT, a GET and a POST for each of 6 blobs.
    { singlePost: 'honoured', requests: 16 },
    // A PUT for each in addition, also for the first one, whose POST brought its bytes in vain.
    { singlePost: 'ignored', requests: 22 },
  ] as const) {
    it(`where mounts are refused and single POSTs ${singlePost}: ${requests} for 6 small blobs`, () =>
      withLoopback(
        { destination: 'plain', destinationOptions: { switches: { singlePost } } },
        async (loopback) => {
          const refusal = { kind: 'answer', status: 400 } as const;
          loopback.destination.faults.add({ path: /mount=/, times: Infinity, effect: refusal });
          const process = loopback.process();
          loopback.seed('v1', imageWith('v1', LAYERS));
          await process.mirror();
          loopback.takeRequests();
          for (const tag of ['v2', 'v3']) {
            loopback.seed(tag, imageWith(tag, LAYERS));
            const report = await process.mirror();
            assert.deepEqual([report.counts.copied, report.blobsUploaded], [1, LAYERS + 1]);
            assert.equal(loopback.takeRequests(), requests, loopback.summary);
          }
        },
      ));
  }

  it('mounts what another repository of the host has got', () =>
    withLoopback({ destination: 'plain' }, async (loopback) => {
      const process = loopback.process();
      const image = imageWith('shared', LAYERS);
      const other = 'upstream/images/org/other';
      loopback.seed('v1', image);
      loopback.seed('v1', image, other);
      await process.mirror();
      loopback.takeRequests();
      const report = await process.mirror(
        {},
        { sourcePath: other, destinationPath: 'project/mirror/ghcr.io/org/other' },
      );
      assert.equal(report.bytesUploaded, 0);
      assert.equal(report.blobsMounted, 6);
      // Token, two lists, manifest, six mounts, push.
      assert.equal(loopback.takeRequests(), 1 + 2 + 1 + 6 + 1);
    }));

  it('looks at up to 10 requested tags one by one and lists nothing', () =>
    withLoopback({}, async (loopback) => {
      for (const tag of ['v1', 'v2', 'v3']) loopback.seed(tag, imageWith(tag, 1));
      await loopback.process().mirror({ tags: ['v1', 'v2'] });
      // 401 and token, two HEADs, twice manifest + 2 blobs + push.
      assert.equal(loopback.takeRequests(), 2 + 2 + 2 * (1 + 2 * 3 + 1));
      assert.equal(loopback.destination.store.tags(DESTINATION_PATH).length, 2);
    }));

  for (const [name, wish, requests] of [
    ['lists the destination for more than 10 requested tags', { verify: 'none' }, 1],
    // One list, 401 and token, a HEAD each.
    ['asks the source once for each requested tag that is there', {}, 1 + 2 + 11],
  ] as const) {
    it(name, () =>
      withLoopback({}, async (loopback) => {
        const tags = Array.from({ length: 11 }, (_none, index) => `v${index}`);
        for (const tag of tags) {
          loopback.seed(tag, imageWith('same', 1));
          loopback.seedDestination(tag, imageWith('same', 1));
        }
        const report = await loopback.process().mirror({ tags, ...wish });
        assert.equal(report.counts.skipped, 11);
        assert.equal(loopback.takeRequests(), requests);
      }),
    );
  }
});

describe('requests with referrers', () => {
  const referrers = { referrers: true };

  it('asks one question per copied digest where the source has the API', () =>
    withLoopback({}, async (loopback) => {
      seedTags(loopback, 20);
      await loopback.process().mirror({}, { options: referrers });
      assert.equal(loopback.source.counter.count({ kind: 'referrers' }), 20);
      assert.equal(loopback.takeRequests(), 404 + 20);
    }));

  it('asks one question per source host and process where it has not', () =>
    withLoopback({ sourceOptions: { switches: { referrers: 'absent' } } }, async (loopback) => {
      seedTags(loopback, 20);
      const process = loopback.process();
      await process.mirror({}, { options: referrers });
      assert.equal(loopback.takeRequests(), 404 + 1);
      loopback.seed('new', imageWith('new', LAYERS));
      await process.mirror({}, { options: referrers });
      assert.equal(loopback.takeRequests(), 22);
    }));

  it('asks nothing for unchanged tags', () =>
    withLoopback({}, async (loopback) => {
      seedUnchanged(loopback);
      await loopback.process().mirror({}, { options: referrers });
      assert.equal(loopback.takeRequests(), 4);
    }));
});

/** Takes an index without its children. */
const UNCHECKED = { switches: { manifestParts: 'unchecked' } } as const;

describe('requests with platforms', () => {
  const TEN = ['386', 'amd64', 'arm/v5', 'arm/v6', 'arm/v7', 'arm64', 'ppc64le', 'riscv64', 's390x']
    .map((architecture) => `linux/${architecture}`)
    .concat('windows/amd64');
  const two = { platforms: platformsOf(['linux/amd64', 'linux/arm64']) };
  // 2 lists; GET and PUT of the index and of both children; a POST, a GET and a PUT for each of 12 blobs.
  const REQUESTS = 2 + 2 * 3 + 3 * 12;

  function seedTen(loopback: Loopback): void {
    const entries = TEN.map((platform) => ({ image: imageWith(platform, LAYERS), platform }));
    loopback.seed('v1', platformIndex(entries));
  }

  async function warm(loopback: Loopback): Promise<Process> {
    const process = loopback.process();
    await process.mirror({}, { options: two });
    loopback.takeRequests();
    return process;
  }

  for (const [destination, more] of [
    ['google', 0],
    // Without a map a HEAD for each child.
    ['plain', 2],
  ] as const) {
    const options = { destination, destinationOptions: UNCHECKED };

    it(`an index of ten, two of them wanted: ${REQUESTS + more} (${destination})`, () =>
      withLoopback(options, async (loopback) => {
        const process = await warm(loopback);
        seedTen(loopback);
        const report = await process.mirror({}, { options: two });
        assert.deepEqual([report.counts.copied, report.platformsLeftOut], [1, 8]);
        assert.equal(loopback.takeRequests(), REQUESTS + more, loopback.summary);
        // What is unchanged costs nothing more than without a choice.
        await process.mirror({}, { options: two });
        assert.equal(loopback.takeRequests(), 2);
      }));

    it(`a wish for what is there: a GET, and what no map tells (${destination})`, () =>
      withLoopback(options, async (loopback) => {
        const process = await warm(loopback);
        seedTen(loopback);
        await process.mirror({}, { options: two });
        loopback.takeRequests();
        const later = loopback.process();
        const report = await later.mirror({ reason: 'requested' }, { options: two });
        assert.equal(report.counts.skipped, 1);
        // Lists and the source's token with its 401; the tag's HEAD at the source; the index.
        const asked = destination === 'google' ? 4 + 1 + 1 : 4 + 2 + 1 + 2;
        assert.equal(loopback.takeRequests(), asked, loopback.summary);
      }));
  }

  it('a host that wants them all: one refused PUT, once', () =>
    withLoopback({}, async (loopback) => {
      const process = await warm(loopback);
      seedTen(loopback);
      const report = await process.mirror({}, { options: two });
      assert.deepEqual([report.counts.copied, report.platformsLeftOut], [1, 0]);
      // 2 lists; GET and PUT of the index and 10 children, 60 blobs, the refusal.
      assert.equal(loopback.takeRequests(), 2 + 2 * 11 + 3 * 60 + 1, loopback.summary);
    }));
});

describe('parallel work', () => {
  it('has many requests under way at either registry', () =>
    withLoopback(
      {
        sourceOptions: { switches: { rttMs: 20 } },
        destinationOptions: { switches: { rttMs: 20 } },
      },
      async (loopback) => {
        seedTags(loopback, 8);
        await loopback.process().mirror();
        // A gate begins with 8 places, one of which blob streams leave to other requests.
        assert.ok(loopback.source.counter.highestConcurrency >= 7);
        assert.ok(loopback.destination.counter.highestConcurrency >= 8);
      },
    ));
});

describe('requests of a promotion within one registry', () => {
  const PROMOTION_PATH = 'project/prod/app';

  for (const [destination, looks] of [
    ['google', 0],
    // The 404 of the list there is the first answer for which nothing was presented: one look at the root.
    ['plain', 1],
  ] as const) {
    for (const { tags, requests } of [
      // 2 lists, and of each tag its manifest's GET and PUT and a POST for each of 6 blobs.
      { tags: 1, requests: 10 },
      { tags: 20, requests: 162 },
    ]) {
      it(`${tags} tags of 6 blobs: ${requests + looks}, and no byte (${destination})`, () =>
        withLoopback({ oneHost: true, destination }, async (loopback) => {
          seedTags(loopback, tags);
          const { summary } = loopback;
          const report = await loopback.process().mirror({}, { destinationPath: PROMOTION_PATH });
          assert.equal(report.counts.copied, tags, summary);
          assert.deepEqual(
            [report.blobsMounted, report.blobsUploaded, report.bytesUploaded],
            [tags * (LAYERS + 1), 0, 0],
          );
          assert.equal(loopback.destination.counter.uploadedBytes, 0);
          assert.ok(report.bytesSaved > 0);
          assert.equal(loopback.takeRequests(), requests + looks, loopback.summary);
        }));
    }
  }
});
