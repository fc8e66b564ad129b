import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { REASONS } from '../../../functions/contract/event.ts';
import { referrersTag } from '../../../functions/oci/referrer-tags.ts';
import { failing } from './fakes.ts';
import { imageWith } from './images.ts';
import { outcomes, recordOf, Rig } from './rig.ts';

const DAY_MS = 24 * 3_600_000;

describe('unchanged subjects', () => {
  const ON = { referrers: true };
  const images = ['1', '2', '3'].map((name) => imageWith(name, 1));

  /** A plain destination that has three tags, none of which is verified. */
  function plain(): Rig {
    const rig = new Rig();
    rig.destination.plain();
    images.forEach((image, index) => {
      rig.source.tag(`v${index}`, image);
      rig.destination.tag(`v${index}`, image);
    });
    return rig;
  }

  for (const reason of REASONS) {
    it(`are followed at the reason ${reason}: all on request, the young on resync and follow-up`, async () => {
      const rig = new Rig();
      rig.nowMs = 10 * DAY_MS;
      rig.source.referrersApi = true;
      for (const [index, image] of images.entries()) {
        rig.source.tag(`v${index}`, image);
        rig.destination.tag(`v${index}`, image);
        // One of them came a minute ago, the others a day and longer.
        rig.destination.uploadedAtMs.set(
          image.manifest.digest,
          rig.nowMs - (index === 0 ? 60_000 : DAY_MS),
        );
      }
      await rig.mirror({ reason }, { options: ON });
      const expected = { requested: 3, resync: 1, 'follow-up': 1 }[reason as string] ?? 0;
      assert.equal(rig.source.count('source listReferrers'), expected);
    });
  }

  it('are asked for one by one where the destination tells no digests', async () => {
    const rig = plain();
    rig.source.referrersApi = true;
    const report = await rig.mirror({ reason: 'resync' }, { options: ON });
    // Three tags, and what refers to each.
    assert.equal(report.answered, 6);
    assert.equal(rig.destination.count('destination headManifest'), 3);
    assert.equal(rig.source.count('source listReferrers'), 3);
  });

  it('are asked for as listed: the 404 of a HEAD that is not known to work says nothing', async () => {
    const rig = plain();
    rig.source.referrersApi = true;
    const head = rig.destination.headManifest.bind(rig.destination);
    rig.destination.headManifest = async (tag, signal, isListed = false) =>
      isListed ? head(tag, signal) : undefined;
    await rig.mirror({ reason: 'resync' }, { options: ON });
    assert.equal(rig.source.count('source listReferrers'), 3);
  });

  it('are no longer there where their tag went after the list: nothing fails', async () => {
    const rig = plain();
    rig.source.referrersApi = true;
    rig.destination.before.push((call) => {
      if (call === 'destination headManifest v1') rig.destination.tags.delete('v1');
    });
    const report = await rig.mirror({ reason: 'resync' }, { options: ON });
    assert.equal(report.counts.failed, 0);
    assert.equal(rig.source.count('source listReferrers'), 2);
  });

  it('are not asked for where the source is known to have no API', async () => {
    const rig = plain();
    rig.source.mayHaveReferrersApi = false;
    const sig = `${referrersTag(images[0]!.manifest.digest)}.sig`;
    rig.source.tag(sig, imageWith('sig', 1));
    const report = await rig.mirror({ reason: 'resync' }, { options: ON });
    assert.equal(rig.destination.count('destination headManifest v'), 0);
    assert.equal(recordOf(report, sig).outcome, 'copied');
  });

  it('that signature tags name are asked for, and left alone where they are not there', async () => {
    const rig = plain();
    rig.source.mayHaveReferrersApi = false;
    const elsewhere = imageWith('elsewhere', 1);
    rig.source.add(elsewhere);
    const sig = `${referrersTag(elsewhere.manifest.digest)}.sig`;
    rig.source.tag(sig, imageWith('sig', 1));
    const report = await rig.mirror({ reason: 'resync' }, { options: ON });
    assert.equal(recordOf(report, sig).reason, 'SubjectNotMirrored');
    assert.deepEqual(report.unfinished, []);
  });

  it('under tags that drifted are followed as they are here', async () => {
    const [old, fresh] = images;
    const sig = `${referrersTag(old!.manifest.digest)}.sig`;
    const rig = new Rig({ v1: fresh!, [sig]: imageWith('sig', 1) }, { v1: old! });
    const options = { ...ON, onDrift: 'report' } as const;
    const report = await rig.mirror({ reason: 'requested' }, { options });
    assert.deepEqual(outcomes(report), { v1: 'drifted', [sig]: 'copied' });
  });

  it('about which a question failed ask for another delivery', async () => {
    const rig = plain();
    rig.destination.before.push(failing('destination headManifest v1', 'SERVER_ERROR', 1));
    const report = await rig.mirror({ reason: 'resync' }, { options: ON });
    assert.deepEqual(report.unfinished, ['v1']);
  });

  it('that are asked for by name come again where the destination answers 403', async () => {
    const rig = plain();
    rig.source.referrersApi = true;
    rig.destination.before.push(failing('destination headManifest sha256:', 'FORBIDDEN'));
    const tag = referrersTag(images[0]?.manifest.digest ?? '');
    const report = await rig.mirror({ tags: [tag] }, { options: ON });
    assert.deepEqual(report.unfinished, [tag]);
  });

  it('that are asked for by name are followed, or asked for again', async () => {
    const rig = plain();
    rig.source.mayHaveReferrersApi = false;
    const [{ manifest }] = images as [(typeof images)[0]];
    const sig = `${referrersTag(manifest.digest)}.sig`;
    rig.source.tag(sig, imageWith('sig', 1));
    const byDigest = `destination headManifest ${manifest.digest}`;
    rig.destination.before.push(failing(byDigest, 'SERVER_ERROR', 1));
    const wish = { tags: [referrersTag(manifest.digest)] };
    const first = await rig.mirror(wish, { options: ON });
    assert.deepEqual(first.unfinished, wish.tags);
    const second = await rig.mirror(wish, { options: ON });
    assert.equal(recordOf(second, sig).outcome, 'copied');
  });
});
