import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { MirrorError } from '../../../functions/errors.ts';
import { PresenceCache } from '../../../functions/mirror/presence-cache.ts';
import { MIRROR_OPTIONS } from '../../mirror-options.ts';
import type { MirrorReport } from '../../../functions/mirror/report.ts';
import {
  chooseChildren,
  platformFields,
  platformsOf,
  type PlatformContext,
} from '../../../functions/mirror/platforms.ts';
import { parseManifest } from '../../../functions/oci/manifest.ts';
import { until } from '../../until.ts';
import { failing, FakeDestination } from './fakes.ts';
import { imageWith, indexOf, platformIndex, type Entry, type Image } from './images.ts';
import { has, offloading, recordOf, Rig } from './rig.ts';

const AMD64_ARM64 = ['linux/amd64', 'linux/arm64'];

/** Children by the names of their platforms, each with an attestation where asked for. */
function childrenFor(names: readonly string[], attested = false): readonly Entry[] {
  return names.flatMap((platform): readonly Entry[] => {
    const image = imageWith(platform, 2);
    const attestation = { image: imageWith(`attestation of ${platform}`, 1), describes: image };
    return [{ image, platform }, ...(attested ? [attestation] : [])];
  });
}

/** Which of the entries are brought, by the names of their platforms. */
function chosen(entries: readonly Entry[], wanted: readonly string[]): readonly string[] {
  const { manifest } = platformIndex(entries);
  const context: PlatformContext = {
    platforms: platformsOf(wanted),
    destination: new FakeDestination(),
    pool: { presence: new PresenceCache(() => 0) },
  };
  const choice = chooseChildren(parseManifest(manifest.bytes, manifest.mediaType), context);
  const digests = choice.chosen.map(({ digest }) => digest);
  return entries
    .filter(({ image }) => digests.includes(image.manifest.digest))
    .map(({ platform, describes }) => platform ?? (describes === undefined ? 'none' : 'describes'));
}

describe('chooseChildren', () => {
  for (const [name, has, wanted, expected] of [
    ['nothing is said', ['linux/amd64', 'linux/arm64'], [], ['linux/amd64', 'linux/arm64']],
    ['all are', ['linux/amd64', 'linux/arm64'], ['all'], ['linux/amd64', 'linux/arm64']],
    ['one is wanted', ['linux/amd64', 'linux/arm64'], ['linux/arm64'], ['linux/arm64']],
    [
      'the variant is usual',
      ['linux/amd64', 'linux/arm64/v8'],
      ['linux/arm64'],
      ['linux/arm64/v8'],
    ],
    ['a usual one is lower', ['linux/amd64', 'linux/arm64'], ['linux/arm64/v8.1'], ['linux/arm64']],
    ['Arm has no variant', ['linux/arm/v7', 'linux/arm/v6'], ['linux/arm'], ['linux/arm/v7']],
    [
      'a lower one runs',
      ['linux/amd64', 'linux/arm/v5', 'linux/arm/v6'],
      ['linux/arm/v7'],
      ['linux/arm/v6'],
    ],
    [
      'it has another spelling',
      ['linux/amd64', 'linux/arm/v7.0'],
      ['linux/arm/v7'],
      ['linux/arm/v7.0'],
    ],
    [
      'only a higher one is there',
      ['linux/amd64/v3', 'linux/amd64'],
      ['linux/amd64'],
      ['linux/amd64'],
    ],
    ['another system has it', ['windows/amd64', 'linux/amd64'], ['linux/amd64'], ['linux/amd64']],
    ['one of two is there', ['linux/amd64', 'linux/s390x'], AMD64_ARM64, ['linux/amd64']],
    ['none is', ['linux/ppc64le', 'linux/s390x'], AMD64_ARM64, ['linux/ppc64le', 'linux/s390x']],
  ] as const) {
    it(`brings ${expected.join(' and ')} where ${name}`, () => {
      assert.deepEqual(chosen(childrenFor(has), wanted), expected);
    });
  }

  it('brings every child of a platform: they differ by the version of the system', () => {
    const entries = [
      { image: imageWith('2019', 1), platform: 'windows/amd64' },
      { image: imageWith('2022', 1), platform: 'windows/amd64' },
      { image: imageWith('linux', 1), platform: 'linux/amd64' },
    ];
    assert.equal(chosen(entries, ['windows/amd64']).length, 2);
  });

  it('lets attestations follow what they describe', () => {
    const entries = childrenFor(['linux/amd64', 'linux/s390x'], true);
    assert.deepEqual(chosen(entries, ['linux/amd64']), ['linux/amd64', 'describes']);
  });

  it('brings what names no platform, and what describes something else', () => {
    const entries = [
      ...childrenFor(['linux/amd64', 'linux/s390x']),
      { image: imageWith('artifact', 1) },
      { image: imageWith('strange', 1), describes: imageWith('elsewhere', 1) },
    ];
    assert.deepEqual(chosen(entries, ['linux/amd64']), ['linux/amd64', 'none', 'describes']);
  });

  it('brings a manifest that an index names for several platforms, one of them wanted', () => {
    const image = imageWith('both', 1);
    const entries = [
      { image, platform: 'linux/arm/v7' },
      { image, platform: 'linux/arm64' },
      ...childrenFor(['linux/s390x']),
    ];
    assert.deepEqual(chosen(entries, ['linux/arm/v7']), ['linux/arm/v7', 'linux/arm64']);
  });

  it('says nothing of a choice that leaves nothing out', () => {
    assert.deepEqual(platformFields({ leftOut: [], isNoneMatched: false }), {});
  });
});

const TEN = [
  'linux/386',
  'linux/amd64',
  'linux/arm/v5',
  'linux/arm/v6',
  'linux/arm/v7',
  'linux/arm64/v8',
  'linux/ppc64le',
  'linux/riscv64',
  'linux/s390x',
  'windows/amd64',
];

function options(...platforms: string[]): { readonly options: object } {
  return { options: { ...MIRROR_OPTIONS, platforms: platformsOf(platforms) } };
}

const TWO = options(...AMD64_ARM64);

/** Its destination takes an index without its children. */
function sparseRig(index?: Image): Rig {
  const rig = new Rig(index === undefined ? {} : { v1: index });
  rig.destination.sparseIndexes = 'taken';
  return rig;
}

/** How many of an index's children are at the destination. */
function arrived(rig: Rig, { children }: Image): number {
  return children.filter((child) => has(rig, child)).length;
}

function came(report: MirrorReport, tag = 'v1'): readonly unknown[] {
  const { outcome, reason, platformsLeftOut } = recordOf(report, tag);
  return [outcome, reason, platformsLeftOut];
}

describe('PLATFORMS', () => {
  it('brings two of ten, and the index as it is', async () => {
    const index = platformIndex(childrenFor(TEN, true));
    const rig = sparseRig(index);
    const report = await rig.mirror({}, TWO);
    assert.deepEqual(came(report), ['copied', 'Missing', 8]);
    assert.equal(report.platformsLeftOut, 8);
    assert.equal(rig.destination.digestOf('v1'), index.manifest.digest);
    assert.equal(arrived(rig, index), 4);
    assert.equal(rig.source.count('source getManifest'), 1 + 4);
  });

  it('the event says otherwise: its word wins', async () => {
    const index = platformIndex(childrenFor(TEN));
    const rig = sparseRig(index);
    const report = await rig.mirror({ platforms: ['linux/s390x'] }, TWO);
    assert.deepEqual(came(report), ['copied', 'Missing', 9]);
    assert.ok(index.children[8] !== undefined && has(rig, index.children[8]));
  });

  it('copies a single image and an index without platforms as they are', async () => {
    const rig = sparseRig();
    const plain = indexOf([imageWith('one', 1), imageWith('two', 1)]);
    rig.source.tag('image', imageWith('windows', 1)).tag('plain', plain);
    const report = await rig.mirror({}, TWO);
    assert.equal(report.counts.copied, 2);
    assert.equal(report.platformsLeftOut, 0);
    assert.equal(recordOf(report, 'plain').noPlatformMatched, undefined);
    assert.equal(arrived(rig, plain), 2);
  });

  it('copies an index of none of them whole, and says so', async () => {
    const index = platformIndex(childrenFor(['linux/ppc64le', 'linux/s390x']));
    const rig = sparseRig(index);
    const report = await rig.mirror({}, TWO);
    assert.equal(arrived(rig, index), 2);
    assert.equal(recordOf(report, 'v1').noPlatformMatched, true);
    assert.equal(recordOf(report, 'v1').platformsLeftOut, undefined);
  });

  it('chooses in indexes below an index, and counts them', async () => {
    const rig = sparseRig();
    const inner = platformIndex(childrenFor(TEN));
    const outer = platformIndex([{ image: inner }]);
    rig.source.tag('v1', outer);
    assert.deepEqual(came(await rig.mirror({}, TWO)), ['copied', 'Missing', 8]);
    assert.equal(arrived(rig, inner), 2);
  });

  it('tells a dry run what would be left out, and pushes nothing', async () => {
    const rig = sparseRig(platformIndex(childrenFor(TEN)));
    const dry = { options: { ...TWO.options, dryRun: true } };
    assert.deepEqual(came(await rig.mirror({}, dry)), ['would-copy', 'Missing', 8]);
    assert.equal(rig.destination.count('destination putManifest'), 0);
  });

  it('lets no signature of a child that was left out follow, and asks about none', async () => {
    const rig = sparseRig();
    const index = platformIndex(childrenFor(['linux/amd64', 'linux/s390x']));
    const [amd64, s390x] = index.children.map(
      ({ manifest }) => `${manifest.digest.replace(':', '-')}.sig`,
    );
    rig.source
      .tag('v1', index)
      .tag(amd64 ?? '', imageWith('signature of amd64', 1))
      .tag(s390x ?? '', imageWith('signature of s390x', 1));
    const signed = { options: { ...TWO.options, referrers: true } };
    const report = await rig.mirror({}, signed);
    assert.deepEqual([...rig.destination.tags.keys()].sort(), ['v1', amd64 ?? ''].sort());
    assert.deepEqual(recordOf(report, s390x ?? '').reason, 'PlatformLeftOut');
    assert.equal(rig.source.count('source headManifest'), 0);
  });

  it('does not count what is left out towards a hand-off', async () => {
    const index = platformIndex(childrenFor(TEN));
    // Two children of 2 layers of 100 bytes and a config of 64.
    const limits = { jobThresholdBytes: 2 * 264, batchTags: 0 };
    const { asked, ...more } = offloading(limits, { handOff: 'declined' });
    await sparseRig(index).mirror({}, { ...TWO, ...more });
    assert.deepEqual(asked, []);
    await sparseRig(index).mirror({}, { ...options(), ...more });
    assert.deepEqual(asked, ['handOff TooManyBytes event']);
  });
});

describe('a host that takes whole indexes only', () => {
  for (const sparseIndexes of ['refused', 'refused-unnamed', 'refused-otherwise'] as const) {
    it(`gets them from its first refusal on, which is told once (${sparseIndexes})`, async () => {
      const first = platformIndex(childrenFor(TEN, true));
      const rig = new Rig({ v1: first });
      rig.destination.sparseIndexes = sparseIndexes;
      const hosts: string[] = [];
      const observer = { onWholeIndexes: (host: string) => hosts.push(host) };
      assert.deepEqual(came(await rig.mirror({}, { ...TWO, observer })), [
        'copied',
        'Missing',
        undefined,
      ]);
      assert.equal(arrived(rig, first), 20);
      assert.equal(rig.destination.count('destination putManifest v1'), 2);
      const second = platformIndex([...childrenFor(TEN), { image: imageWith('more', 1) }]);
      rig.source.tag('v2', second);
      await rig.mirror({}, { ...TWO, observer });
      assert.equal(rig.destination.count('destination putManifest v2'), 1);
      assert.equal(arrived(rig, second), 11);
      assert.deepEqual(hosts, [rig.destination.host]);
    });
  }

  it('is learnt where the missing parts took so long that the push came too late', async () => {
    const rig = new Rig();
    const [amd64, arm64] = [imageWith('amd64', 1), imageWith('arm64', 1)];
    rig.source.tag(
      'v1',
      platformIndex([
        { image: amd64, platform: 'linux/amd64' },
        { image: arm64, platform: 'linux/arm64' },
      ]),
    );
    rig.destination.before.push((call) => {
      if (call === `destination putManifest ${arm64.manifest.digest}`) rig.nowMs += 6000;
    });
    const hosts: string[] = [];
    const observer = { onWholeIndexes: (host: string) => hosts.push(host) };
    const report = await rig.mirror({ platforms: ['linux/amd64'] }, { observer });
    assert.deepEqual(came(report), ['copied', 'Missing', undefined]);
    assert.equal(rig.destination.manifests.has(arm64.manifest.digest), true);
    assert.deepEqual(hosts, [rig.destination.host]);
  });

  it('is not one because it refuses an index for what was chosen', async () => {
    const index = platformIndex(childrenFor(TEN));
    const rig = sparseRig(index);
    const [, amd64] = index.children;
    const lost = amd64?.manifest.digest ?? '';
    let refusals = 1;
    rig.destination.before.push((call) => {
      if (call !== 'destination putManifest v1' || refusals === 0) return;
      refusals -= 1;
      throw new MirrorError('DESTINATION_INCOMPLETE', 'missing', { digests: [lost] });
    });
    const report = await rig.mirror({}, TWO);
    assert.deepEqual(came(report), ['copied', 'Missing', 8]);
    assert.equal(rig.destination.count(`destination putManifest ${lost}`), 2);
    assert.equal(rig.presence.wantsWholeIndexes(rig.destination.host), false);
  });

  it('refuses an index with all its children too: it is refused as before', async () => {
    const rig = new Rig({ v1: platformIndex(childrenFor(TEN)) });
    rig.destination.before.push(failing('destination putManifest v1', 'MANIFEST_REFUSED'));
    const record = recordOf(await rig.mirror({}, TWO), 'v1');
    assert.equal(record.fault?.code, 'MANIFEST_REFUSED');
    assert.equal(rig.presence.wantsWholeIndexes(rig.destination.host), false);
  });

  it('gets the children of an index below, too', async () => {
    const inner = platformIndex(childrenFor(TEN));
    const rig = new Rig({ v1: platformIndex([{ image: inner }]) });
    assert.deepEqual(came(await rig.mirror({}, TWO)), ['copied', 'Missing', undefined]);
    assert.equal(arrived(rig, inner), 10);
  });
});

describe('a change of PLATFORMS', () => {
  async function widened(
    rig: Rig,
    index: Image,
    reason: 'requested' | 'changed',
    ...platforms: string[]
  ): Promise<MirrorReport> {
    rig.source.tag('v1', index);
    await rig.mirror({}, options('linux/amd64'));
    rig.destination.calls.length = 0;
    rig.source.calls.length = 0;
    return sparseLater(rig).mirror({ reason }, options(...platforms));
  }

  /** A process that knows nothing, between the same registries. */
  function sparseLater({ source, destination }: Rig): Rig {
    const later = new Rig();
    later.use(source, destination);
    return later;
  }

  for (const map of ['complete', 'none'] as const) {
    it(`brings what is missing when it is requested (digest map: ${map})`, async () => {
      const rig = sparseRig();
      rig.destination.map = map;
      const index = platformIndex(childrenFor(TEN));
      // Another tag of the same index takes no question more.
      rig.source.tag('same', index);
      const report = await widened(rig, index, 'requested', ...AMD64_ARM64);
      assert.deepEqual(came(report), ['copied', 'PlatformsMissing', 8]);
      assert.deepEqual(came(report, 'same'), came(report));
      assert.equal(arrived(rig, index), 2);
      assert.equal(rig.destination.count('destination putManifest'), 1);
      assert.equal(rig.destination.count('destination getManifest'), 1);
      const again = await sparseLater(rig).mirror({ reason: 'requested' }, TWO);
      assert.equal(recordOf(again, 'v1').outcome, 'skipped');
    });
  }

  for (const sparse of [
    'refused',
    'refused-unnamed',
    'refused-itself',
    'refused-otherwise',
  ] as const) {
    it(`brings what is missing where the host is learnt to want whole indexes under way (${sparse})`, async () => {
      const [fast, slow] = ['fast', 'slow'].map((name) =>
        platformIndex([
          { image: imageWith(`${name} amd64`, 1), platform: 'linux/amd64' },
          { image: imageWith(`${name} arm64`, 1), platform: 'linux/arm64' },
        ]),
      );
      const rig = new Rig({ v2: fast!, v1: slow! });
      rig.destination.sparseIndexes = sparse;
      const held = `destination uploadBlob ${slow!.children[0]!.blobs[1]!.descriptor.digest}`;
      rig.destination.before.push(async (call) => {
        if (call !== held) return;
        await until(() => rig.destination.tags.has('v2'));
      });
      const report = await rig.mirror({ platforms: ['linux/amd64'] });
      assert.deepEqual([report.counts.copied, report.counts.failed], [2, 0]);
      assert.ok(rig.destination.manifests.has(slow!.children[1]!.manifest.digest));
    });
  }

  it("brings all of it with 'all', and asks nothing where nobody says any", async () => {
    const rig = sparseRig();
    const index = platformIndex(childrenFor(TEN, true));
    const report = await widened(rig, index, 'requested');
    assert.equal(recordOf(report, 'v1').outcome, 'skipped');
    assert.equal(rig.destination.count('destination getManifest'), 0);
    await sparseLater(rig).mirror({ reason: 'requested' }, options('all'));
    assert.equal(arrived(rig, index), 20);
  });

  it('costs nothing where the tag is not compared', async () => {
    const index = platformIndex(childrenFor(TEN));
    const rig = sparseRig(index);
    await rig.mirror({}, options('linux/amd64'));
    const later = sparseLater(rig);
    await later.mirror({}, { options: { ...TWO.options, mutableTags: '' } });
    assert.equal(rig.destination.count('destination getManifest'), 0);
    assert.equal(arrived(rig, index), 1);
  });

  // Any of them may stand for the event that told of the change.
  for (const reason of ['initial', 'changed', 'follow-up', 'configured', 'resync'] as const) {
    it(`brings what is missing of a tag that ${reason} compares`, async () => {
      const index = platformIndex(childrenFor(TEN));
      const rig = sparseRig(index);
      await rig.mirror({}, options('linux/amd64'));
      const two = { ...TWO.options, mutableTags: '^v1$' };
      const report = await sparseLater(rig).mirror({ reason }, { options: two });
      assert.deepEqual(came(report), ['copied', 'PlatformsMissing', 8]);
      assert.equal(arrived(rig, index), 2);
    });
  }

  it('brings what is missing when another tag gets the same index', async () => {
    const rig = sparseRig();
    const index = platformIndex(childrenFor(TEN));
    rig.source.tag('other', index);
    const report = await widened(rig, index, 'changed', ...AMD64_ARM64);
    assert.equal(report.counts.failed, 0);
    rig.source.tag('third', index);
    const third = await sparseLater(rig).mirror({}, TWO);
    assert.deepEqual(came(third, 'third'), ['retagged', 'DigestPresent', 8]);
    assert.equal(arrived(rig, index), 2);
  });

  it('brings what is missing of an index below', async () => {
    const rig = sparseRig();
    const inner = platformIndex(childrenFor(TEN));
    const report = await widened(
      rig,
      platformIndex([{ image: inner }]),
      'requested',
      ...AMD64_ARM64,
    );
    assert.equal(recordOf(report, 'v1').reason, 'PlatformsMissing');
    assert.equal(arrived(rig, inner), 2);
  });

  it('brings a tag again whose index went after the list', async () => {
    const index = platformIndex(childrenFor(TEN));
    const rig = sparseRig(index);
    await rig.mirror({}, options('linux/amd64'));
    const { destination } = rig;
    destination.before.push((call) => {
      if (call !== `destination getManifest ${index.manifest.digest}`) return;
      destination.tags.clear();
      destination.manifests.clear();
    });
    await sparseLater(rig).mirror({ reason: 'requested' }, TWO);
    assert.equal(destination.digestOf('v1'), index.manifest.digest);
  });

  it('guard index-depth: looks 4 levels deep for what is missing', async () => {
    for (const [levels, outcome] of [
      [4, 'skipped'],
      [5, 'failed'],
    ] as const) {
      let index = imageWith('deep', 1);
      for (let level = 0; level < levels; level += 1) index = indexOf([index]);
      const rig = new Rig({ v1: index }, { v1: index });
      assert.equal(recordOf(await rig.mirror({ reason: 'requested' }, TWO), 'v1').outcome, outcome);
    }
  });

  it('tells a dry run', async () => {
    const rig = sparseRig(platformIndex(childrenFor(TEN)));
    await rig.mirror({}, options('linux/amd64'));
    const dry = { options: { ...TWO.options, dryRun: true } };
    const report = await sparseLater(rig).mirror({ reason: 'requested' }, dry);
    assert.deepEqual(came(report), ['would-copy', 'PlatformsMissing', 8]);
  });

  it('moves no tag that moved meanwhile where drift is reported', async () => {
    const rig = sparseRig(platformIndex(childrenFor(TEN)));
    await rig.mirror({}, options('linux/amd64'));
    const before = rig.destination.digestOf('v1');
    const later = sparseLater(rig);
    rig.destination.before.push((call) => {
      if (call.startsWith('destination getManifest')) rig.source.tag('v1', imageWith('new', 1));
    });
    const report = await later.mirror(
      { reason: 'requested' },
      { options: { ...TWO.options, onDrift: 'report' } },
    );
    assert.equal(recordOf(report, 'v1').outcome, 'drifted');
    assert.equal(rig.destination.digestOf('v1'), before);
  });

  it('fails the tag whose index cannot be read, and that one only', async () => {
    const rig = sparseRig();
    const index = platformIndex(childrenFor(TEN));
    rig.source.tag('v1', index).tag('v2', platformIndex(childrenFor(['linux/amd64'])));
    await rig.mirror({}, options('linux/amd64'));
    rig.destination.before.push(
      failing(`destination getManifest ${index.manifest.digest}`, 'SERVER_ERROR'),
    );
    const report = await sparseLater(rig).mirror({ reason: 'requested' }, TWO);
    assert.equal(recordOf(report, 'v1').fault?.code, 'SERVER_ERROR');
    assert.equal(recordOf(report, 'v2').outcome, 'skipped');
  });
});
