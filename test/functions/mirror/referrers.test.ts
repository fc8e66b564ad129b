import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { MirrorError } from '../../../functions/errors.ts';
import { referrersTag } from '../../../functions/oci/referrer-tags.ts';
import { entriesOf } from '../../../functions/mirror/fallback-index.ts';
import { FRESH_MS } from '../../../functions/mirror/tag-turns.ts';
import { failing, FakeDestination, FakeHost } from './fakes.ts';
import {
  blobOf,
  descriptorOf,
  entryOf,
  imageOf,
  imageWith,
  indexOf,
  OCI_INDEX,
  referrerOf,
  writtenImage,
  type Image,
} from './images.ts';
import { fallbackOf, has, outcomes, recordOf, Rig } from './rig.ts';

const ON = { options: { referrers: true } } as const;
const image = imageWith('image', 1);
const { digest } = image.manifest;
const LIST = referrersTag(digest);
const [sbom, scan] = [referrerOf(image, 'sbom'), referrerOf(image, 'scan')];

/** The source with the image, of which its API tells that these refer to it. */
function referred(...referrers: readonly Image[]): Rig {
  const rig = new Rig({ v1: image });
  rig.source.refer(image, ...referrers);
  return rig;
}

/** To a destination that keeps the lists of referrers. */
function acknowledging(rig: Rig): Rig {
  rig.destination.acknowledgesSubjects = true;
  return rig;
}

describe('signature tags', () => {
  const [sig, att] = [`${LIST}.sig`, `${LIST}.att`];

  it('follow the subject that is copied, whatever is excluded', async () => {
    const rig = new Rig({ v1: image, [sig]: imageWith('sig', 1), [att]: imageWith('att', 1) });
    rig.source.mayHaveReferrersApi = false;
    const report = await rig.mirror({ exclusionList: [String.raw`^.*\.sig$`] }, ON);
    assert.deepEqual(outcomes(report), { v1: 'copied', [sig]: 'copied', [att]: 'copied' });
    assert.equal(recordOf(report, sig).subject, digest);
    assert.equal(report.bytesUploaded, rig.destination.bytesReceived);
    const { calls } = rig.destination;
    assert.ok(
      calls.indexOf('destination putManifest v1') < calls.indexOf(`destination putManifest ${sig}`),
    );
  });

  it('stay behind when referrers are off, and when their subject does', async () => {
    const rig = new Rig({ v1: image, [sig]: imageWith('sig', 1) });
    const off = await rig.mirror();
    assert.deepEqual(outcomes(off), { v1: 'copied', [sig]: 'skipped' });
    assert.equal(recordOf(off, sig).reason, 'ReferrersOff');
    const excluded = new Rig({ v1: image, [sig]: imageWith('sig', 1) });
    const report = await excluded.mirror({ exclusionList: ['^v1$'] }, ON);
    assert.deepEqual(outcomes(report), { [sig]: 'skipped' });
    assert.equal(recordOf(report, sig).reason, 'SubjectNotMirrored');
    assert.equal(excluded.destination.digestOf(sig), undefined);
  });

  it('follow a child of the index that is copied', async () => {
    const child = imageWith('child', 1);
    const childSig = `${referrersTag(child.manifest.digest)}.sig`;
    const rig = new Rig({ v1: indexOf([child]), [childSig]: imageWith('sig', 1) });
    assert.deepEqual(outcomes(await rig.mirror({}, ON)), { v1: 'copied', [childSig]: 'copied' });
  });

  it('are not looked at for unchanged tags', async () => {
    const rig = new Rig({ v1: image, [sig]: imageWith('sig', 1) }, { v1: image });
    const report = await rig.mirror({}, ON);
    assert.deepEqual(outcomes(report), { v1: 'skipped', [sig]: 'skipped' });
    assert.equal(recordOf(report, sig).reason, 'SubjectUnchanged');
    assert.deepEqual(rig.source.calls, ['source listTags']);
  });

  it('grow, and are compared again on request', async () => {
    const rig = new Rig(
      { v1: image, [sig]: imageWith('grown', 1), [att]: imageWith('att', 1) },
      { v1: image, [sig]: imageWith('sig', 1), [att]: imageWith('att', 1) },
    );
    const report = await rig.mirror({ reason: 'requested' }, ON);
    assert.deepEqual(outcomes(report), { v1: 'skipped', [sig]: 'overwritten', [att]: 'skipped' });
    assert.equal(rig.destination.digestOf(sig), imageWith('grown', 1).manifest.digest);
    // The verified tag, two signatures and the subject's list.
    assert.equal(report.answered, 4);
  });

  it('are found for a child that stays as it is', async () => {
    const child = imageWith('child', 1);
    const childSig = `${referrersTag(child.manifest.digest)}.sig`;
    const index = indexOf([child]);
    const rig = new Rig({ v1: index, [childSig]: imageWith('sig', 1) }, { v1: index });
    rig.source.referrersApi = true;
    const report = await rig.mirror({ reason: 'requested' }, ON);
    assert.deepEqual(outcomes(report), { v1: 'skipped', [childSig]: 'copied' });
    assert.equal(rig.source.count('source listReferrers'), 2);
  });

  it('are asked for where neither side tells digests', async () => {
    const rig = new Rig(
      { v1: image, [sig]: imageWith('grown', 1), [att]: imageWith('att', 1) },
      { v1: image, [sig]: imageWith('sig', 1) },
    );
    rig.destination.plain();
    const report = await rig.mirror({ reason: 'requested' }, ON);
    assert.deepEqual(outcomes(report), { v1: 'skipped', [sig]: 'overwritten', [att]: 'copied' });
  });

  for (const [where, isListed, onDrift] of [
    ['its list has them', true, 'overwrite'],
    ['nothing may be moved', false, 'report'],
  ] as const) {
    it(`are left to another delivery where the destination answers 403 and ${where}`, async () => {
      const rig = new Rig({ v1: image, [sig]: imageWith('grown', 1) }, { v1: image });
      rig.destination.plain();
      if (isListed) rig.destination.tag(sig, imageWith('sig', 1));
      else rig.destination.before.push(failing('destination listTags', 'REQUEST_REFUSED'));
      rig.destination.before.push(failing(`destination headManifest ${sig}`, 'FORBIDDEN'));
      const options = { ...ON.options, onDrift };
      const report = await rig.mirror({ reason: 'requested' }, { options });
      assert.equal(recordOf(report, sig).fault?.code, 'FORBIDDEN');
      assert.deepEqual(report.unfinished, [sig]);
    });
  }

  it('that are gone by then are lost', async () => {
    const rig = new Rig(
      { v1: image, [sig]: imageWith('sig', 1) },
      { v1: image, [sig]: imageWith('old', 1) },
    );
    rig.source.before.push((call) => {
      if (call === `source headManifest ${sig}`) rig.source.tags.delete(sig);
    });
    assert.equal(recordOf(await rig.mirror({ reason: 'requested' }, ON), sig).outcome, 'lost');
  });

  it('that cannot be moved are drifted', async () => {
    const rig = new Rig(
      { v1: image, [sig]: imageWith('grown', 1) },
      { v1: image, [sig]: imageWith('sig', 1) },
    );
    rig.destination.immutable = true;
    assert.equal(recordOf(await rig.mirror({ reason: 'requested' }, ON), sig).outcome, 'drifted');
  });

  it('follow the tags that are asked for by name, their children too, and no others', async () => {
    for (const map of ['complete', 'none'] as const) {
      const child = imageWith('child', 1);
      const index = indexOf([child]);
      const rig = new Rig({ v1: index }, { v1: index });
      rig.destination.map = map;
      const own = [child, index].map(({ manifest }) => `${referrersTag(manifest.digest)}.sig`);
      for (const tag of own) rig.source.tag(tag, imageWith(tag, 1));
      for (let n = 0; n < 20; n += 1) {
        const other = imageWith(`other ${n}`, 1);
        rig.source.tag(`v2.${n}`, other);
        rig.destination.tag(`v2.${n}`, other);
        const tag = `${referrersTag(other.manifest.digest)}.sig`;
        rig.source.tag(tag, imageWith(tag, 1));
      }
      const wish = { reason: 'requested', tags: ['v1'], verify: 'none' } as const;
      const report = await rig.mirror(wish, ON);
      const records = report.records.map(({ tag, outcome }) => `${tag} ${outcome}`);
      assert.deepEqual(
        records.sort(),
        ['v1 skipped', ...own.map((tag) => `${tag} copied`)].sort(),
        map,
      );
    }
  });

  it('are copied on request by name', async () => {
    const rig = new Rig({ v1: image, [sig]: imageWith('sig', 1) }, { v1: image });
    assert.deepEqual(outcomes(await rig.mirror({ tags: [sig] }, ON)), { [sig]: 'copied' });
    for (const verify of ['none', 'all'] as const) {
      rig.source.tag(sig, imageWith(`grown ${verify}`, 1)).tag('v1', imageWith(verify, 1));
      const report = await rig.mirror({ tags: [sig, 'v1'], verify }, ON);
      assert.equal(recordOf(report, sig).outcome, 'overwritten');
      assert.equal(recordOf(report, 'v1').outcome, verify === 'all' ? 'overwritten' : 'skipped');
    }
  });
});

describe('which unchanged subjects are followed', () => {
  const sig = `${LIST}.sig`;
  const DAY_MS = 24 * 60 * 60 * 1000;

  async function followed(
    reason: 'changed' | 'follow-up' | 'resync' | 'requested',
    ageMs: number | undefined,
  ): Promise<boolean> {
    const rig = new Rig();
    rig.nowMs = 10 * DAY_MS;
    rig.source.tag('v1', image).tag(sig, imageWith('sig', 1));
    rig.destination.tag('v1', image);
    if (ageMs !== undefined) rig.destination.uploadedAtMs.set(digest, rig.nowMs - ageMs);
    return outcomes(await rig.mirror({ reason }, ON))[sig] === 'copied';
  }

  const rows = [
    ['changed', 0, false],
    ['follow-up', DAY_MS - 1, true],
    ['follow-up', DAY_MS, false],
    ['follow-up', undefined, true],
    ['resync', DAY_MS - 1, true],
    ['resync', DAY_MS, false],
    ['requested', 9 * DAY_MS, true],
  ] as const;
  for (const [reason, ageMs, expected] of rows) {
    it(`${reason}, ${ageMs ?? 'no'} ms after the upload: ${expected}`, async () => {
      assert.equal(await followed(reason, ageMs), expected);
    });
  }
});

describe('referrers', () => {
  it('are copied after their subject, by digest', async () => {
    const rig = acknowledging(referred(sbom));
    const report = await rig.mirror({}, ON);
    assert.equal(has(rig, sbom), true);
    assert.equal(recordOf(report, LIST).outcome, 'copied');
    assert.equal(recordOf(report, LIST).subject, digest);
    assert.deepEqual([...rig.destination.tags.keys()], ['v1']);
  });

  it('are united from the API and the fallback tag', async () => {
    const rig = acknowledging(referred(sbom));
    rig.source.tag(LIST, indexOf([scan, sbom]));
    await rig.mirror({}, ON);
    assert.equal(has(rig, sbom, scan), true);
  });

  it('are found by the fallback tag where the source has no API', async () => {
    const rig = new Rig({ v1: image, [LIST]: indexOf([scan]) });
    await rig.mirror({}, ON);
    assert.equal(has(rig, scan), true);
  });

  it('of children follow, by API and by fallback tag', async () => {
    const other = imageWith('other', 1);
    const otherScan = referrerOf(other, 'scan');
    const rig = acknowledging(new Rig({ v1: indexOf([image, other]) }));
    rig.source.tag(referrersTag(other.manifest.digest), indexOf([otherScan])).refer(image, sbom);
    const report = await rig.mirror({}, ON);
    assert.equal(has(rig, sbom, otherScan), true);
    assert.equal(recordOf(report, LIST).outcome, 'copied');
    // One question for the index and one for each child.
    assert.equal(
      rig.source.count('source listReferrers') -
        rig.source.count(`source listReferrers ${sbom.manifest.digest}`) -
        rig.source.count(`source listReferrers ${otherScan.manifest.digest}`),
      3,
    );
  });

  it('of children are found although the index is unchanged', async () => {
    const index = indexOf([image]);
    const rig = acknowledging(new Rig({ v1: index }, { v1: index }));
    rig.source.refer(image, sbom);
    rig.destination.before.push(failing('destination getManifest', 'NETWORK', 1));
    const failed = await rig.mirror({ reason: 'follow-up' }, ON);
    assert.deepEqual(failed.unfinished, [referrersTag(index.manifest.digest)]);
    await rig.mirror({ reason: 'follow-up' }, ON);
    assert.equal(has(rig, sbom), true);
  });

  it('of a child that a signature tag names too are asked for with those of its index', async () => {
    const both = { v1: indexOf([image]), [`${LIST}.sig`]: imageWith('signature', 1) };
    const rig = acknowledging(new Rig(both, both));
    // Both lists tell digests: the signature is compared without a request, before the index is read.
    rig.source.tellsDigests = true;
    rig.source.refer(image, sbom);
    await rig.mirror({ reason: 'requested' }, ON);
    assert.equal(has(rig, sbom), true);
    assert.equal(rig.source.count(`source listReferrers ${digest}`), 1);
  });

  it('of what a signature tag alone names are not asked for', async () => {
    const other = imageWith('other', 1);
    const both = { v1: other, [`${LIST}.sig`]: imageWith('signature', 1) };
    const rig = new Rig(both, both);
    for (const side of [rig.source, rig.destination]) side.add(image);
    rig.source.referrersApi = true;
    await rig.mirror({ reason: 'requested' }, ON);
    assert.equal(rig.source.count(`source listReferrers ${digest}`), 0);
    assert.equal(rig.source.count(`source listReferrers ${other.manifest.digest}`), 1);
  });

  it('of referrers are asked for where a fallback tag alone names the subject', async () => {
    const both = { v1: imageWith('other', 1), [LIST]: indexOf([sbom]) };
    const rig = acknowledging(new Rig(both, both));
    for (const side of [rig.source, rig.destination]) side.add(image);
    const signature = referrerOf(sbom, 'signature');
    rig.source.refer(sbom, signature);
    await rig.mirror({ reason: 'requested' }, ON);
    assert.equal(has(rig, signature), true);
    assert.equal(rig.source.count(`source listReferrers ${digest}`), 0);
  });

  it('guard index-depth: are looked for 4 levels deep below what is unchanged', async () => {
    for (const [levels, code] of [
      [4, undefined],
      [5, 'INDEX_TOO_DEEP'],
    ] as const) {
      let index = image;
      for (let level = 0; level < levels; level += 1) index = indexOf([index]);
      const rig = acknowledging(new Rig({ v1: index }, { v1: index }));
      rig.source.refer(image, sbom);
      const report = await rig.mirror({ reason: 'requested' }, ON);
      assert.equal(report.records.find(({ fault }) => fault !== undefined)?.reason, code);
    }
  });

  it('of all children are asked for: one question each', async () => {
    const children = Array.from({ length: 69 }, (_none, number) => imageWith(`${number}`, 1));
    const rig = acknowledging(new Rig({ v1: indexOf([...children, image]) }));
    rig.source.refer(image, sbom);
    await rig.mirror({}, ON);
    assert.equal(has(rig, sbom), true);
    // The index, its children, and the referrer, which may have one of its own.
    assert.equal(rig.source.count('source listReferrers'), 1 + 70 + 1);
  });

  it('of the children of an index within an index follow, by API, by fallback tag and by signature', async () => {
    for (const unchanged of [false, true]) {
      const [one, two, three] = [imageWith('one', 1), imageWith('two', 1), imageWith('three', 1)];
      const index = indexOf([indexOf([one, two, three])]);
      const [ofOne, ofTwo] = [referrerOf(one, 'sbom'), referrerOf(two, 'scan')];
      const sig = `${referrersTag(three.manifest.digest)}.sig`;
      const rig = new Rig(
        { v1: index, [sig]: imageWith('sig', 1) },
        unchanged ? { v1: index } : {},
      );
      rig.source.tag(referrersTag(two.manifest.digest), indexOf([ofTwo])).refer(one, ofOne);
      const report = await rig.mirror({ reason: 'follow-up' }, ON);
      assert.equal(has(rig, ofOne, ofTwo), true);
      assert.equal(recordOf(report, sig).outcome, 'copied');
    }
  });

  it('of referrers follow to the last, and end where a registry tells them in a circle', async () => {
    const rig = acknowledging(referred(sbom));
    const signature = referrerOf(sbom, 'signature');
    const stamp = referrerOf(signature, 'stamp');
    rig.source.refer(sbom, signature).refer(signature, stamp).refer(stamp, sbom, stamp);
    const report = await rig.mirror({}, ON);
    assert.equal(has(rig, sbom, signature, stamp), true);
    assert.equal(report.counts.failed, 0);
    assert.equal(rig.source.count('source listReferrers'), 4);
  });

  it('that are missing hide no others: what arrived is listed, and the missing one told', async () => {
    for (const acknowledgesSubjects of [true, false]) {
      const gone = referrerOf(image, 'gone');
      const rig = new Rig({ v1: image, [LIST]: indexOf([sbom, gone, scan]) });
      rig.destination.acknowledgesSubjects = acknowledgesSubjects;
      rig.source.manifests.delete(gone.manifest.digest);
      const report = await rig.mirror({}, ON);
      assert.equal(has(rig, sbom, scan), true);
      assert.equal(recordOf(report, 'v1').outcome, 'copied');
      const list = recordOf(report, LIST);
      assert.equal(list.fault?.code, 'SOURCE_INCOMPLETE');
      assert.deepEqual(list.fault.digests, [gone.manifest.digest]);
      const listed = acknowledgesSubjects ? [] : [sbom.manifest.digest, scan.manifest.digest];
      assert.deepEqual(fallbackOf(digest, rig), listed);
    }
  });

  it('that are all missing are listed nowhere: no list is read for nothing', async () => {
    const rig = new Rig({ v1: image, [LIST]: indexOf([sbom]) });
    rig.source.manifests.delete(sbom.manifest.digest);
    const report = await rig.mirror({}, ON);
    assert.equal(recordOf(report, LIST).fault?.code, 'SOURCE_INCOMPLETE');
    assert.equal(rig.destination.count(`destination getManifest ${LIST}`), 0);
  });

  it('leave no work behind where their list fails at once', async () => {
    const rig = referred(sbom);
    const signature = referrerOf(sbom, 'signature');
    rig.source.refer(sbom, signature);
    const failed = Promise.withResolvers<undefined>();
    const slow = Promise.withResolvers<undefined>();
    rig.destination.before.push((call) => {
      if (call !== `destination getManifest ${LIST}`) return;
      failed.resolve(undefined);
      throw new MirrorError('NETWORK', 'the test says so', { side: 'destination' });
    });
    rig.source.before.push(async (call) => {
      if (call === `source getManifest ${signature.manifest.digest}`) await slow.promise;
    });
    let isOver = false;
    const mirrored = rig.mirror({}, ON).finally(() => {
      isOver = true;
    });
    await failed.promise;
    for (let turn = 0; turn < 50; turn += 1) await new Promise((go) => setImmediate(go));
    assert.equal(isOver, false);
    slow.resolve(undefined);
    const report = await mirrored;
    assert.equal(recordOf(report, LIST).fault?.code, 'NETWORK');
    assert.equal(has(rig, signature), true);
  });

  it('are told where the source refuses the question, and nothing fails', async () => {
    const rig = new Rig({ v1: image });
    rig.source.refusesReferrers = true;
    const report = await rig.mirror({}, ON);
    const list = recordOf(report, LIST);
    assert.deepEqual([list.outcome, list.reason], ['skipped', 'ReferrersRefused']);
    assert.deepEqual(report.unfinished, []);
    // What its fallback tag lists comes all the same; there may be more.
    rig.source.tag('v2', image).tag(LIST, indexOf([sbom]));
    const more = await rig.mirror({}, ON);
    assert.equal(recordOf(more, LIST).reason, 'ReferrersRefused');
    assert.equal(has(rig, sbom), true);
  });

  it('are left for another delivery where the source lets the question wait', async () => {
    const rig = referred(sbom);
    rig.source.before.push(failing('source listReferrers', 'TIMEOUT', 1));
    const report = await rig.mirror({}, ON);
    assert.equal(recordOf(report, 'v1').outcome, 'copied');
    assert.equal(recordOf(report, LIST).fault?.code, 'TIMEOUT');
    assert.deepEqual(report.unfinished, [LIST]);
    assert.equal(recordOf(await rig.mirror({ tags: [LIST] }, ON), LIST).outcome, 'copied');
    assert.equal(has(rig, sbom), true);
  });

  it('are asked for once for several tags of one digest', async () => {
    const rig = new Rig({ v1: image, v2: image });
    rig.source.referrersApi = true;
    await rig.mirror({}, ON);
    assert.equal(rig.source.count('source listReferrers'), 1);
  });

  it('that are there cost nothing but the question', async () => {
    const rig = acknowledging(referred(sbom));
    await rig.mirror({}, ON);
    const [read, written] = [rig.source.calls.length, rig.destination.calls.length];
    const report = await rig.mirror({ reason: 'requested' }, ON);
    assert.equal(recordOf(report, LIST).outcome, 'skipped');
    // List, the verified tag, the subject's question, the referrer's.
    assert.equal(rig.source.calls.length - read, 4);
    // List, and what the subject's children are.
    assert.equal(rig.destination.calls.length - written, 2);
  });

  it('guard graph-size: share one budget of 1,000 manifests with the image', async () => {
    const layer = blobOf('layer');
    const children = Array.from({ length: 990 }, (_none, index) =>
      imageOf(`child ${index}`, [layer]),
    );
    const index = indexOf(children);
    const rig = acknowledging(new Rig({ v1: index }));
    const many = Array.from({ length: 11 }, (_none, number) => referrerOf(index, `r${number}`));
    rig.source.refer(index, ...many);
    const report = await rig.mirror({}, ON);
    assert.equal(recordOf(report, 'v1').outcome, 'copied');
    const list = recordOf(report, referrersTag(index.manifest.digest));
    assert.equal(list.fault?.code, 'GRAPH_TOO_LARGE');
  });

  it('that fail are named as unfinished, and are copied by that name though the tag is unchanged', async () => {
    const rig = acknowledging(referred(sbom));
    rig.source.before.push(failing(`source getManifest ${sbom.manifest.digest}`, 'NETWORK', 1));
    const first = await rig.mirror({}, ON);
    assert.equal(recordOf(first, 'v1').outcome, 'copied');
    assert.deepEqual(first.unfinished, [LIST]);
    const second = await rig.mirror({ tags: first.unfinished }, ON);
    assert.deepEqual(outcomes(second), { [LIST]: 'copied' });
    assert.equal(has(rig, sbom), true);
  });

  it('are copied on request by the name of their LIST', async () => {
    const rig = acknowledging(referred(sbom));
    rig.destination.tag('v1', image);
    assert.deepEqual(outcomes(await rig.mirror({ tags: [LIST] }, ON)), { [LIST]: 'copied' });
    assert.equal(has(rig, sbom), true);
  });
});

describe('the fallback index at a destination that keeps no list', () => {
  const other = imageWith('another', 1);
  const otherScan = referrerOf(other, 'scan');

  it('is made', async () => {
    const rig = referred(sbom, scan);
    await rig.mirror({}, ON);
    assert.deepEqual(
      [...fallbackOf(digest, rig)].sort(),
      [sbom.manifest.digest, scan.manifest.digest].sort(),
    );
    const entries = entriesOf(rig.destination.tags.get(LIST)!);
    assert.equal(entries[0]?.['artifactType'], 'application/x.sbom');
  });

  it('is merged, and loses nothing', async () => {
    const rig = referred(sbom);
    const own = referrerOf(image, 'own');
    rig.destination.tag(LIST, indexOf([own]));
    await rig.mirror({}, ON);
    assert.deepEqual(fallbackOf(digest, rig), [own.manifest.digest, sbom.manifest.digest]);
  });

  it('is the source’s own, byte for byte, where that has all of them, and a new one otherwise', async () => {
    for (const [own, told] of [
      [true, [sbom]],
      [false, [sbom, scan]],
    ] as const) {
      const rig = referred(...told);
      const manifests = [entryOf(descriptorOf(sbom.manifest))];
      const theirs = writtenImage({ manifests, note: 'theirs' }, [], OCI_INDEX);
      rig.source.tag(LIST, theirs);
      await rig.mirror({}, ON);
      assert.equal(rig.destination.digestOf(LIST) === theirs.manifest.digest, own);
      assert.equal(fallbackOf(digest, rig).length, told.length);
    }
  });

  for (const [slowMs, reads] of [
    [FRESH_MS, 2],
    [FRESH_MS + 1, 3],
  ] as const) {
    it(`is read ${reads} times where its push has to wait ${slowMs} ms for its turn`, async () => {
      const rig = referred(sbom);
      let isSlow = true;
      rig.destination.before.push((call) => {
        if (!isSlow || call !== `destination putManifest ${LIST}`) return;
        isSlow = false;
        rig.nowMs += slowMs;
      });
      await rig.mirror({}, ON);
      assert.deepEqual(fallbackOf(digest, rig), [sbom.manifest.digest]);
      assert.equal(rig.destination.count(`destination getManifest ${LIST}`), reads);
    });
  }

  it('is left alone when it has everything', async () => {
    const rig = referred(sbom);
    await rig.mirror({}, ON);
    const puts = rig.destination.count('destination putManifest');
    await rig.mirror({ reason: 'requested' }, ON);
    assert.equal(rig.destination.count('destination putManifest'), puts);
  });

  it('is merged again when another writer overwrote it', async () => {
    const rig = referred(sbom);
    const theirs = referrerOf(image, 'theirs');
    rig.destination.add(theirs);
    let overwritten = false;
    rig.destination.before.push((call) => {
      const pushed = rig.destination.tags.has(LIST);
      if (overwritten || !pushed || call !== `destination getManifest ${LIST}`) return;
      overwritten = true;
      rig.destination.tag(LIST, indexOf([theirs]));
    });
    await rig.mirror({}, ON);
    assert.equal(overwritten, true);
    assert.deepEqual(fallbackOf(digest, rig), [theirs.manifest.digest, sbom.manifest.digest]);
  });

  it('is given up for now when others keep overwriting it', async () => {
    const rig = referred(sbom);
    rig.destination.before.push((call) => {
      if (call === `destination getManifest ${LIST}`) rig.destination.tags.delete(LIST);
    });
    const report = await rig.mirror({}, ON);
    assert.equal(recordOf(report, LIST).fault?.code, 'TAG_MOVING');
    assert.equal(rig.destination.count(`destination putManifest ${LIST}`), 3);
    assert.equal(recordOf(report, 'v1').outcome, 'copied');
  });

  it('is completed where a process ended between referrer and list', async () => {
    const rig = referred(sbom);
    rig.destination.tag('v1', image).add(sbom);
    const report = await rig.mirror({ reason: 'requested' }, ON);
    assert.deepEqual(fallbackOf(digest, rig), [sbom.manifest.digest]);
    assert.equal(recordOf(report, LIST).outcome, 'copied');
  });

  it('is not needed where the destination keeps the list, as one push tells', async () => {
    const rig = acknowledging(referred(sbom));
    rig.destination.tag('v1', image).add(sbom);
    await rig.mirror({ reason: 'requested' }, ON);
    assert.deepEqual(rig.destination.count(`destination putManifest ${sbom.manifest.digest}`), 1);
    assert.deepEqual([...rig.destination.tags.keys()], ['v1']);
  });

  it('is merged where the destination acknowledges what it does not list', async () => {
    const rig = acknowledging(referred(sbom));
    rig.destination.listsReferrers = false;
    await rig.mirror({}, ON);
    assert.deepEqual(fallbackOf(digest, rig), [sbom.manifest.digest]);
  });

  for (const code of [
    'FORBIDDEN',
    'UNAUTHORIZED',
    'REDIRECT_REFUSED',
    'RESPONSE_INVALID',
  ] as const) {
    const isRight = code === 'FORBIDDEN' || code === 'UNAUTHORIZED';
    const place = isRight ? 'repository' : 'host';
    it(`is left out at a ${place} that answers its tag with ${code}: no image fails, and it is learnt once`, async () => {
      const rig = referred(sbom);
      const host = new FakeHost();
      rig.destination = new FakeDestination('virtual/app', 'registry.example', host);
      rig.source.tag('v2', other).refer(other, otherScan);
      rig.destination.before.push(failing('destination getManifest sha256-', code));
      const report = await rig.mirror({}, { options: { ...ON.options, tagWorkers: 1 } });
      assert.equal(report.counts.failed, 0);
      const list = recordOf(report, LIST);
      assert.equal(list.subject, digest);
      assert.deepEqual(report.unfinished, []);
      const more = await rig.mirror({ reason: 'requested' }, ON);
      assert.equal(recordOf(more, LIST).reason, 'ReferrersTagRefused');
      assert.ok(rig.destination.count('destination getManifest sha256-') <= 2);
      rig.use(rig.source, new FakeDestination('local/app', 'registry.example', host));
      await rig.mirror({}, ON);
      assert.equal(fallbackOf(digest, rig).length, isRight ? 1 : 0);
    });
  }

  it('is left out at a host that answers its tag with server errors, the second time', async () => {
    const rig = referred(sbom);
    rig.source.tag('v2', other).refer(other, otherScan);
    rig.destination.before.push(failing('destination getManifest sha256-', 'SERVER_ERROR'));
    const report = await rig.mirror({}, { options: { ...ON.options, tagWorkers: 1 } });
    assert.equal(report.unfinished.length, 1);
    const again = await rig.mirror({ tags: report.unfinished }, ON);
    assert.deepEqual(again.unfinished, []);
    assert.equal(recordOf(again, report.unfinished[0]!).reason, 'ReferrersTagRefused');
  });

  it('is asked for again where a host that has such lists fails once', async () => {
    const rig = referred(sbom);
    await rig.mirror({}, ON);
    rig.source.tag('v2', other).refer(other, otherScan);
    rig.destination.before.push(failing('destination getManifest sha256-', 'SERVER_ERROR', 1));
    const report = await rig.mirror({}, ON);
    const list = referrersTag(other.manifest.digest);
    assert.deepEqual(report.unfinished, [list]);
    assert.equal(recordOf(await rig.mirror({ tags: [list] }, ON), list).outcome, 'copied');
    assert.deepEqual(fallbackOf(other.manifest.digest, rig), [otherScan.manifest.digest]);
  });

  it('keeps what two events of a process add at the same time', async () => {
    const rig = referred(sbom);
    const put = rig.destination.hold('destination putManifest sha256-', 1);
    const one = rig.mirror({}, ON);
    await put.reached;
    rig.source.refer(image, sbom, scan);
    const two = rig.mirror({ tags: [LIST] }, ON);
    for (let turn = 0; turn < 100; turn += 1) await new Promise((go) => setImmediate(go));
    put.release();
    await Promise.all([one, two]);
    assert.deepEqual(fallbackOf(digest, rig), [sbom.manifest.digest, scan.manifest.digest]);
  });

  it('is left out at a host that answers the image itself under its tag', async () => {
    const rig = referred(sbom);
    rig.destination.tag(LIST, image);
    const report = await rig.mirror({}, ON);
    assert.equal(report.counts.failed, 0);
    assert.equal(rig.destination.digestOf(LIST), digest);
  });

  it('is not copied where the fallback tag names no list: that follows as a signature does', async () => {
    const index = indexOf([image]);
    const own = referrersTag(index.manifest.digest);
    for (const [subject, tag, bundle] of [
      [image, LIST, imageWith('bundle', 1)],
      [index, own, index],
    ] as const) {
      const rig = new Rig({ v1: subject, [tag]: bundle });
      await rig.mirror({}, ON);
      assert.equal(rig.destination.digestOf(tag), bundle.manifest.digest);
    }
  });
});
