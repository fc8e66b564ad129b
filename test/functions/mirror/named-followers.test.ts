import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { MirrorError } from '../../../functions/errors.ts';
import { NO_DEADLINE } from '../../../functions/mirror/deadline.ts';
import { parseBackupTag } from '../../../functions/mirror/backup-tag.ts';
import { referrersTag } from '../../../functions/oci/referrer-tags.ts';
import { failing } from './fakes.ts';
import { imageWith, indexOf, referrerOf } from './images.ts';
import { fallbackOf, has, offloading, outcomes, recordOf, Rig } from './rig.ts';
import { MIRROR_OPTIONS } from '../../mirror-options.ts';

const image = imageWith('image', 1);
const { digest } = image.manifest;
const FALLBACK = referrersTag(digest);
const [sbom, scan] = [referrerOf(image, 'sbom'), referrerOf(image, 'scan')];
const BOTH = [sbom, scan].map(({ manifest }) => manifest.digest).sort();
const FOLLOWS = { options: { ...MIRROR_OPTIONS, referrers: true } };

/** What a source lists, beside what it can give by name. */
const LISTS: readonly (readonly [name: string, tags: readonly string[]])[] = [
  ['nothing, as a cache that holds nothing yet', []],
  ['signatures alone', [`${FALLBACK}.sig`]],
  ['a backup of its own before all else', ['backup-latest-0123456789ab', 'v1']],
  ['images', ['a0', 'v1']],
];

describe('a list of referrers that is asked for by name', () => {
  for (const [name, listed] of LISTS) {
    const backupTag = parseBackupTag('backup-{tag}-{digest}');
    const follows = { options: { ...FOLLOWS.options, backupTag } };

    it(`is what the API tells, where the source lists ${name}`, async () => {
      const rig = new Rig({}, { v1: image });
      rig.source.add(image).refer(image, sbom);
      for (const tag of listed) rig.source.tag(tag, image);
      await rig.mirror({ tags: [FALLBACK] }, follows);
      assert.ok(has(rig, sbom));
    });

    it(`is merged with the destination's, where the source lists ${name}`, async () => {
      const rig = new Rig(
        { [FALLBACK]: indexOf([sbom]) },
        { v1: image, [FALLBACK]: indexOf([scan]) },
      );
      for (const tag of listed) rig.source.tag(tag, image);
      listsOnly(rig, listed);
      await rig.mirror({ tags: [FALLBACK] }, follows);
      assert.deepEqual(fallbackOf(digest, rig).toSorted(), BOTH);
    });
  }

  it('fails no tag beside it where the destination answers strangely to its name', async () => {
    const rig = new Rig({ v1: image, v2: imageWith('two', 1) });
    rig.source.refer(image, sbom);
    await rig.mirror({ tags: ['v1'] });
    rig.destination.before.push(failing('destination headManifest sha256-', 'REQUEST_REFUSED'));
    const report = await rig.mirror({ tags: ['v2', FALLBACK] }, FOLLOWS);
    assert.equal(recordOf(report, 'v2').outcome, 'copied');
    assert.ok(has(rig, sbom));
  });
});

describe('a tag named after a digest that is asked for without a list of the source', () => {
  it('stays behind where its subject is at the source and not here', async () => {
    const rig = new Rig({ v1: image, [FALLBACK]: imageWith('own', 1) });
    rig.source.mayHaveReferrersApi = false;
    rig.source.before.push(failing('source listTags', 'REQUEST_REFUSED'));
    const report = await rig.mirror({ tags: [FALLBACK] }, FOLLOWS);
    assert.equal(recordOf(report, FALLBACK).reason, 'SubjectNotMirrored');
    assert.deepEqual([...rig.destination.tags.keys()], []);
  });
});

describe('a named tag whose HEAD fails at the destination', () => {
  for (const count of [2, 20]) {
    it(`fails alone among ${count}`, async () => {
      const rig = new Rig();
      const tags = Array.from({ length: count }, (_none, index) => `v${index}.0`);
      for (const tag of tags) rig.source.tag(tag, image);
      rig.destination.tag('other', image);
      rig.destination.listIsLong = true;
      rig.destination.before.push(failing('destination headManifest v1.0', 'SERVER_ERROR'));
      const report = await rig.mirror({ tags });
      assert.deepEqual(report.unfinished, ['v1.0']);
      assert.equal(report.counts.failed, 1);
    });
  }
});

describe('a deadline in copying', () => {
  it('leaves no follower of what has none', async () => {
    const rig = new Rig();
    rig.source.tellsDigests = true;
    rig.source.mayHaveReferrersApi = false;
    for (let tag = 0; tag < 50; tag += 1) rig.source.tag(`v${tag}`, imageWith(`v${tag}`, 1));
    await rig.mirror({ reason: 'requested' }, FOLLOWS);
    rig.source.tag('new', imageWith('new', 1));
    const end = new AbortController();
    rig.source.before.push((call) => {
      if (call.startsWith('source openBlob'))
        end.abort(new MirrorError('DEADLINE_EXCEEDED', 'over'));
    });
    const report = await rig.mirror({ reason: 'requested' }, { ...FOLLOWS, signal: end.signal });
    assert.deepEqual(report.unfinished, ['new']);
    assert.equal(outcomes(report)['new'], 'failed');
  });
});

describe('a delivery whose lists take a third of its time', () => {
  for (const listMs of [0, 181_000]) {
    for (const tags of [undefined, ['v1']]) {
      const which = tags === undefined ? 'the whole event' : 'a named tag';
      for (const [reason, jobThresholdBytes, given] of [
        ['TooManyBytes', 1_000_000, 'event'],
        ['BlobTooSlow', 100_000_000, 'v1'],
      ] as const) {
        it(`gives ${which} to the job (${reason}, lists of ${listMs / 1000} s)`, async () => {
          const rig = new Rig({ v1: imageWith('one', 1, 10_000_000) });
          rig.source.before.push((call) => {
            if (call === 'source listTags') rig.nowMs += listMs;
          });
          // A thousand seconds for the layer.
          rig.slowLink(10_000);
          const { asked, ...more } = offloading({ jobThresholdBytes, batchTags: 100 });
          const within = { ...FOLLOWS, ...rig.delivery(540_000), ...more };
          await rig.mirror(tags === undefined ? {} : { tags }, within);
          assert.deepEqual(asked, [`handOff ${reason} ${given}`]);
        });
      }
    }
  }
});

function listsOnly(rig: Rig, listed: readonly string[]): void {
  const list = rig.source.listTags.bind(rig.source);
  rig.source.listTags = async (signal, part) =>
    list(signal, {
      ...part,
      isWanted: (tag) => listed.includes(tag) && part?.isWanted?.(tag) !== false,
    });
}

describe('a cache that lists only what is named after digests', () => {
  it('loses no signature of a named image', async () => {
    const rig = new Rig({ v1: image, [`${FALLBACK}.sig`]: imageWith('sig', 1) });
    listsOnly(rig, [`${FALLBACK}.sig`]);
    const report = await rig.mirror({ tags: ['v1'] }, FOLLOWS);
    assert.deepEqual(outcomes(report), { v1: 'copied', [`${FALLBACK}.sig`]: 'copied' });
  });

  it('loses no referrers of a named image', async () => {
    const rig = new Rig({ v1: image, [FALLBACK]: indexOf([sbom]) });
    listsOnly(rig, [FALLBACK]);
    await rig.mirror({ tags: ['v1'] }, FOLLOWS);
    assert.ok(has(rig, sbom));
  });

  for (const tags of [[FALLBACK], ['v1', FALLBACK]]) {
    it(`does not overwrite the destination's list: ${tags.length}`, async () => {
      const rig = new Rig(
        { v1: image, [FALLBACK]: indexOf([sbom]) },
        { v1: image, [FALLBACK]: indexOf([scan]) },
      );
      listsOnly(rig, [FALLBACK]);
      await rig.mirror({ tags }, FOLLOWS);
      assert.deepEqual(fallbackOf(digest, rig).toSorted(), BOTH);
    });
  }
});

describe('an own tag without a subject at the source, moved, in a batch', () => {
  for (const others of [0, 12]) {
    it(`is overwritten beside ${others} others`, async () => {
      const ghost = referrersTag(`sha256:${'a'.repeat(64)}`);
      const rig = new Rig({ [ghost]: imageWith('new', 1) }, { [ghost]: imageWith('old', 1) });
      rig.source.tellsDigests = true;
      const tags = [ghost];
      for (let at = 0; at < others; at += 1) {
        rig.source.tag(`v${at}.0.0`, image);
        tags.push(`v${at}.0.0`);
      }
      rig.source.tag('other', image);
      const report = await rig.mirror({ tags }, FOLLOWS);
      assert.equal(rig.destination.tags.get(ghost)?.digest, imageWith('new', 1).manifest.digest);
      assert.equal(report.counts.failed, 0);
    });
  }
});

describe('the command with --timeout', () => {
  it('tells of a blob that its end has cut that the time is over', async () => {
    const rig = new Rig({ v1: imageWith('one', 1, 10_000_000) });
    rig.slowLink(10_000);
    const { signal } = rig.delivery(540_000);
    const deadline = { ...NO_DEADLINE, endsAtMs: rig.nowMs + 540_000 };
    const report = await rig.mirror({}, { ...FOLLOWS, deadline, signal });
    assert.deepEqual(
      report.records.map(({ reason }) => reason),
      ['DEADLINE_EXCEEDED'],
    );
    assert.equal(report.interrupted, true);
  });
});
