import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { listSource, type SourceInventory } from '../../../functions/mirror/inventory.ts';
import {
  ownTags,
  withoutOwnTags,
  type FoundOwnTags,
  type OwnTagSearch,
} from '../../../functions/mirror/own-tags.ts';
import { platformsOf } from '../../../functions/mirror/platforms.ts';
import { partTags } from '../../../functions/mirror/signature-tags.ts';
import { referrersTag } from '../../../functions/oci/referrer-tags.ts';
import type { TagListing } from '../../../functions/mirror/ports.ts';
import { NEVER as never } from '../../faults.ts';
import { failing, FakeSource } from './fakes.ts';
import { imageWith, platformIndex } from './images.ts';
import { offloading, outcomes, recordOf, Rig } from './rig.ts';

const ON = { options: { referrers: true } } as const;
const ELSEWHERE = referrersTag(`sha256:${'e'.repeat(64)}`);
const image = imageWith('image', 1);
const { digest } = image.manifest;

/** The inventory of a source that answers its list so. */
async function listed(listing: TagListing): Promise<SourceInventory> {
  const source = Object.assign(new FakeSource(), { listTags: () => Promise.resolve(listing) });
  const inventory = await listSource(source, never);
  assert.ok(inventory !== undefined);
  return inventory;
}

/** A destination that tells names only. */
function plain(): Rig {
  const rig = new Rig();
  rig.destination.plain();
  rig.source.mayHaveReferrersApi = false;
  return rig;
}

describe('tags named after a digest', () => {
  it('are images like any in a list that has nothing else', async () => {
    const rig = plain();
    const tags = ['a', 'b', 'c'].map((letter) => referrersTag(`sha256:${letter.repeat(64)}`));
    for (const tag of tags) rig.source.tag(tag, imageWith(tag, 1));
    const report = await rig.mirror({}, { options: { ...ON.options, maxMissingTags: 2 } });
    // The brake counts them as it counts any.
    assert.deepEqual([report.counts.copied, report.counts.held], [2, 1]);
    assert.equal(rig.source.count('source headManifest'), 0);
    assert.equal((await rig.mirror({ reason: 'requested' }, ON)).counts.copied, 1);
  });

  it('are images of their own where they spell their own digest', async () => {
    for (const referrers of [true, false]) {
      const rig = plain();
      rig.source.tag('v1', imageWith('v1', 1)).tag(referrersTag(digest), image);
      // Another tag stays behind.
      rig.source.tag('dev', imageWith('dev', 1));
      const report = await rig.mirror({ exclusionList: ['^dev$'] }, { options: { referrers } });
      assert.deepEqual(outcomes(report), { v1: 'copied', [referrersTag(digest)]: 'copied' });
      assert.equal(rig.destination.digestOf(referrersTag(digest)), digest);
    }
  });

  it('are images of their own where the source has no such subject', async () => {
    for (const suffix of ['', '.sig', '.att', '.sbom']) {
      const rig = plain();
      const own = `${ELSEWHERE}${suffix}`;
      // Another tag stays behind, so that only the source can tell.
      rig.source.tag('v1', imageWith('v1', 1)).tag('dev', imageWith('dev', 1)).tag(own, image);
      const report = await rig.mirror({ exclusionList: ['^dev$'] }, ON);
      assert.equal(recordOf(report, own).outcome, 'copied');
      const again = await rig.mirror({ exclusionList: ['^dev$'] }, ON);
      assert.equal(again.counts.copied, 0);
    }
  });

  it('ask the source about no subject where every other tag is there already', async () => {
    const signature = `${ELSEWHERE}.sig`;
    const rig = new Rig({ v1: image, [signature]: imageWith('signature', 1) }, { v1: image });
    rig.source.mayHaveReferrersApi = false;
    const report = await rig.mirror({ reason: 'requested' }, ON);
    assert.deepEqual(outcomes(report), { v1: 'skipped', [signature]: 'copied' });
    assert.equal(rig.source.count(`source headManifest sha256:${'e'.repeat(64)}`), 0);
  });

  it('wait for a subject that failed, that is given away, or whose platform is left out', async () => {
    const other = imageWith('other', 1);
    const index = platformIndex([
      { image: other, platform: 'linux/amd64' },
      { image, platform: 'linux/arm64' },
    ]);
    const { offload } = offloading({ jobThresholdBytes: -1, batchTags: 1 });
    const platforms = platformsOf(['linux/amd64']);
    for (const [subject, more] of [
      [image, { before: failing('destination putManifest v1', 'SERVER_ERROR') }],
      [image, { offload }],
      [index, { options: { ...ON.options, platforms } }],
    ] as const) {
      const rig = new Rig();
      rig.destination.sparseIndexes = 'taken';
      if ('before' in more) rig.destination.before.push(more.before);
      const tag = referrersTag(digest);
      rig.source.tag('v1', subject).tag('v2', other).tag(tag, imageWith('own', 1));
      const report = await rig.mirror({}, { ...ON, ...more });
      assert.equal(recordOf(report, tag).reason, 'SubjectNotMirrored');
    }
  });

  it('are not told where they are at a destination without a list', async () => {
    for (const isThere of [true, false]) {
      const rig = plain();
      const sig = `${referrersTag(digest)}.sig`;
      rig.source.tag('v1', image).tag(sig, imageWith('signature', 1));
      rig.destination.tag('v1', image);
      if (isThere) rig.destination.tag(sig, imageWith('signature', 1));
      rig.destination.before.push(failing('destination listTags', 'FORBIDDEN'));
      const report = await rig.mirror({}, ON);
      const told = isThere ? undefined : 'SubjectUnchanged';
      assert.equal(report.records.find(({ tag }) => tag === sig)?.reason, told);
      assert.equal(rig.destination.count(`destination headManifest ${sig}`), 1);
    }
  });

  it('obey exclusion and selection as any tag does', async () => {
    const rig = plain();
    rig.source.tag('v1', imageWith('v1', 1)).tag(ELSEWHERE, image);
    const excluded = await rig.mirror({ exclusionList: ['^sha256-'] }, ON);
    assert.deepEqual(outcomes(excluded), { v1: 'copied' });
    const selected = await rig.mirror({ selection: { include: ['^v'] } }, ON);
    assert.deepEqual(outcomes(selected), { v1: 'skipped' });
  });

  it('cost nothing once they are there', async () => {
    const rig = plain();
    rig.source.tag('v1', imageWith('v1', 1)).tag(ELSEWHERE, image);
    await rig.mirror({}, ON);
    const before = rig.source.calls.length + rig.destination.calls.length;
    await rig.mirror({}, ON);
    assert.equal(rig.source.calls.length + rig.destination.calls.length - before, 2);
  });

  it('are copied where they are asked for by name and their subject is not there', async () => {
    const rig = plain();
    rig.source.tag('v1', imageWith('v1', 1)).tag(ELSEWHERE, image);
    assert.deepEqual(outcomes(await rig.mirror({ tags: [ELSEWHERE] }, ON)), {
      [ELSEWHERE]: 'copied',
    });
  });

  it('ask for another delivery where a question failed', async () => {
    const rig = plain();
    rig.source.tag('v1', imageWith('v1', 1)).tag(ELSEWHERE, image);
    rig.source.before.push(failing(`source headManifest ${ELSEWHERE}`, 'NETWORK', 1));
    assert.deepEqual((await rig.mirror({}, ON)).unfinished, [ELSEWHERE]);
    assert.equal(recordOf(await rig.mirror({}, ON), ELSEWHERE).outcome, 'copied');
  });

  it('ask for another delivery where the whole list of the destination failed', async () => {
    const rig = new Rig(
      { v1: imageWith('v1', 1), [ELSEWHERE]: image },
      { v1: imageWith('v1', 1), old: imageWith('old', 1) },
    );
    rig.source.mayHaveReferrersApi = false;
    rig.destination.map = 1;
    rig.destination.tagDigests = true;
    rig.destination.before.push(failing('destination listTagDigests', 'NETWORK', 1));
    assert.deepEqual((await rig.mirror({}, ON)).unfinished, [ELSEWHERE]);
    assert.equal(recordOf(await rig.mirror({}, ON), ELSEWHERE).outcome, 'copied');
  });
});

describe('withoutOwnTags', () => {
  it('knows from the source’s map what stands for itself, before anything is copied', async () => {
    const sig = `${referrersTag(digest)}.sig`;
    const self = referrersTag(digest);
    const tags = ['v1', sig, self, ELSEWHERE];
    const { plain: standing, signatures } = partTags(tags);
    const map = {
      digestOfTag: new Map([[self, digest]]),
      manifests: new Map([[digest, undefined]]),
      complete: true,
    };
    const parted = withoutOwnTags(
      await listed({ tags, invalidTags: [], map }),
      standing,
      signatures,
    );
    assert.deepEqual([...parted.own].sort(), [self, ELSEWHERE].sort());
    assert.deepEqual(
      [...parted.signatures].map(([, list]) => list.map(({ tag }) => tag)),
      [[sig]],
    );
    const unknown = withoutOwnTags(
      await listed({ tags, invalidTags: [], map: undefined }),
      standing,
      signatures,
    );
    assert.deepEqual(unknown.own, []);
  });
});

describe('ownTags', () => {
  const search = async (
    tags: readonly string[],
    more: Partial<OwnTagSearch> = {},
    isThere = false,
  ): Promise<FoundOwnTags & { readonly calls: number }> => {
    const { source, destination } = plain();
    const found = await ownTags({
      signatures: partTags(tags).signatures,
      selected: new Set(tags),
      followsSubjects: true,
      isFollowed: () => false,
      isAllThere: true,
      inventory: {
        kind: 'names',
        tagCount: 0,
        factOf: () => ({ state: 'absent' }),
        hasManifest: () => undefined,
        uploadedAtMs: () => undefined,
      },
      context: {
        source,
        destination,
        there: { isSeen: () => Promise.resolve(isThere), isKnown: () => isThere } as never,
        signal: new AbortController().signal,
      },
      ...more,
    });
    return { ...found, calls: source.calls.length + destination.calls.length };
  };

  it('asks about a thousand tags at most, and names the others', async () => {
    const tags = Array.from({ length: 1003 }, (_none, n) =>
      referrersTag(`sha256:${n.toString(16).padStart(64, '0')}`),
    );
    const isFollowed = (subject: string): boolean => subject.endsWith('0001');
    const found = await search(tags, { isFollowed });
    assert.equal(found.own.length, 1000);
    assert.deepEqual(
      found.leftAside.map(({ reason }) => reason),
      ['NotAsked', 'NotAsked'],
    );
    assert.equal(found.calls, 1000);
  });

  it('asks nothing about signatures that are not to follow, or whose platform is left out', async () => {
    const sig = `${ELSEWHERE}.sig`;
    for (const [tag, more, isThere, reason, asked] of [
      [sig, { followsSubjects: false }, false, 'ReferrersOff', 0],
      [sig, { leavesPlatformsOut: true }, false, 'PlatformLeftOut', 0],
      [sig, { leavesPlatformsOut: true }, true, 'SubjectUnchanged', 0],
      // A tag that may spell its own digest.
      [ELSEWHERE, { followsSubjects: false }, true, 'ReferrersOff', 1],
      [ELSEWHERE, {}, true, 'SubjectUnchanged', 1],
    ] as const) {
      const { own, leftAside, calls } = await search([tag], more, isThere);
      assert.deepEqual([own, leftAside.map((one) => one.reason), calls], [[], [reason], asked]);
    }
  });
});
