import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { referrersTag } from '../../../functions/oci/referrer-tags.ts';
import { blobOf, imageOf, imageWith } from './images.ts';
import { offloading, outcomes, recordOf, Rig } from './rig.ts';
import { rejection } from '../../faults.ts';

const MIB = 1024 * 1024;
/** What comes in time over a link of 1 MiB/s, and what does not. */
const [FAIR, BIG] = [imageWith('fair', 1, 2 * MIB), imageWith('big', 1, 40 * MIB)];

function seeded(): Rig {
  const tags = ['v1.0.0', 'v2.0.0', 'v3.0.0'];
  return new Rig(Object.fromEntries(tags.map((tag) => [tag, imageWith(tag, 1, MIB)])));
}

describe('offload', () => {
  it('hands everything to the job at a threshold of 0, before a manifest is read', async () => {
    const rig = seeded();
    const { asked, ...more } = offloading({ jobThresholdBytes: 0, batchTags: 1 });
    const report = await rig.mirror({}, more);
    assert.deepEqual(asked, ['handOff EverythingHandedOff event']);
    assert.equal(report.ending, 'handed-off');
    assert.equal(report.handOffReason, 'EverythingHandedOff');
    assert.deepEqual(report.delegated, ['v3.0.0', 'v2.0.0', 'v1.0.0']);
    assert.deepEqual(outcomes(report), {});
    assert.equal(rig.source.count('source getManifest'), 0);
  });

  it('bothers nobody when there is nothing to do', async () => {
    const rig = new Rig();
    const { asked, ...more } = offloading({ jobThresholdBytes: 0, batchTags: 1 });
    assert.equal((await rig.mirror({}, more)).ending, 'finished');
    assert.deepEqual(asked, []);
  });

  it('fans out by the number of tags and copies the first batch, the newest', async () => {
    const rig = seeded();
    const { asked, ...more } = offloading({ jobThresholdBytes: -1, batchTags: 2 });
    const report = await rig.mirror({}, more);
    assert.deepEqual(asked, ['fanOut v1.0.0']);
    assert.equal(report.ending, 'fanned-out');
    assert.deepEqual(report.delegated, ['v1.0.0']);
    assert.deepEqual(outcomes(report), { 'v3.0.0': 'copied', 'v2.0.0': 'copied' });
  });

  it('does not fan out what fits into a batch', async () => {
    const { asked, ...more } = offloading({ jobThresholdBytes: -1, batchTags: 3 });
    const report = await seeded().mirror({}, more);
    assert.deepEqual(asked, []);
    assert.equal(report.counts.copied, 3);
  });

  it('gives nothing away in a delivery whose questions took all its time', async () => {
    const there = imageWith('there', 1);
    for (const jobThresholdBytes of [-1, 0]) {
      const rig = new Rig({ v1: there, v2: FAIR, v3: BIG }, { v1: there });
      const end = new AbortController();
      rig.source.before.push((call) => {
        if (call === 'source headManifest v1') end.abort();
      });
      const { asked, ...more } = offloading({ jobThresholdBytes, batchTags: 1 });
      const options = { verifyTags: 'all' } as const;
      const report = await rig.mirror({}, { ...more, options, signal: end.signal });
      assert.deepEqual([asked, report.unfinished.length], [[], 3]);
    }
  });

  it('copies everything where nobody takes it', async () => {
    const { asked, ...more } = offloading(
      { jobThresholdBytes: 0, batchTags: 1 },
      { handOff: 'declined', fanOut: 'declined' },
    );
    const report = await seeded().mirror({}, more);
    assert.deepEqual(asked, ['handOff EverythingHandedOff event', 'fanOut v2.0.0,v1.0.0']);
    assert.equal(report.counts.copied, 3);
    assert.equal(report.ending, 'finished');
  });

  it('hands off by bytes, after the manifests and before a blob', async () => {
    const rig = seeded();
    const { asked, ...more } = offloading({ jobThresholdBytes: 2 * MIB, batchTags: 0 });
    const report = await rig.mirror({}, more);
    assert.deepEqual(asked, ['handOff TooManyBytes event']);
    assert.equal(report.ending, 'handed-off');
    assert.equal(rig.source.count('source getManifest'), 3);
    assert.equal(rig.destination.count('destination uploadBlob'), 0);
  });

  it('reads no manifest twice when the bytes stay below', async () => {
    const rig = seeded();
    const { asked, ...more } = offloading({ jobThresholdBytes: 4 * MIB, batchTags: 0 });
    const report = await rig.mirror({}, more);
    assert.deepEqual(asked, []);
    assert.equal(report.counts.copied, 3);
    assert.equal(rig.source.count('source getManifest'), 3);
  });

  it('judges the bytes of the first batch before anything is fanned out', async () => {
    const rig = seeded();
    const { asked, ...more } = offloading({ jobThresholdBytes: MIB, batchTags: 2 });
    const report = await rig.mirror({}, more);
    assert.deepEqual(asked, ['handOff TooManyBytes event']);
    assert.equal(rig.source.count('source getManifest'), 2);
    assert.equal(report.ending, 'handed-off');
    assert.deepEqual(report.delegated, ['v3.0.0', 'v2.0.0', 'v1.0.0']);

    const declined = offloading({ jobThresholdBytes: MIB, batchTags: 2 }, { handOff: 'declined' });
    assert.equal((await seeded().mirror({}, declined)).ending, 'fanned-out');
    assert.deepEqual(declined.asked, ['handOff TooManyBytes event', 'fanOut v1.0.0']);
  });

  it('publishes nothing where the job cannot be started', async () => {
    const limits = { jobThresholdBytes: MIB, batchTags: 2 };
    const { asked, ...more } = offloading(limits, { handOff: 'broken' });
    await rejection(seeded().mirror({}, more), 'HAND_OFF_FAILED');
    assert.deepEqual(asked, []);
  });

  it('does not hand off what the destination turns out to have', async () => {
    const base = blobOf('base', 5 * MIB);
    const rig = new Rig(
      { v1: imageOf('v1', [base]), v2: imageOf('v2', [base, blobOf('small')]) },
      { v1: imageOf('v1', [base]) },
    );
    const { asked, ...more } = offloading({ jobThresholdBytes: MIB, batchTags: 0 });
    const report = await rig.mirror({}, more);
    assert.deepEqual(asked, []);
    assert.equal(report.counts.copied, 1);
    assert.equal(rig.destination.count('destination hasBlob'), 1);
  });

  it('gives only the tags to the job whose blob began early and was cut', async () => {
    const rig = new Rig({ v1: FAIR, big: BIG });
    rig.slowLink(MIB);
    const { asked, ...more } = offloading({ jobThresholdBytes: -1, batchTags: 0 });
    const report = await rig.mirror({}, { ...more, ...rig.delivery(30_000) });
    assert.deepEqual(asked, ['handOff BlobTooSlow big']);
    assert.deepEqual(report.handedOff, ['big']);
    assert.deepEqual(outcomes(report), { v1: 'copied' });
    assert.equal(report.ending, 'finished');
  });

  it('fails them for another delivery where there is no job', async () => {
    const rig = new Rig({ v1: FAIR, big: BIG });
    rig.slowLink(MIB);
    const report = await rig.mirror({}, rig.delivery(30_000));
    assert.deepEqual(outcomes(report), { v1: 'copied', big: 'failed' });
    assert.equal(recordOf(report, 'big').fault?.code, 'DELIVERY_TOO_SHORT');
    assert.deepEqual(report.unfinished, ['big']);
  });

  it('keeps its word about all other tags where the job cannot take a cut blob', async () => {
    const rig = new Rig({ v3: FAIR, v2: BIG, v1: imageWith('v1', 1) });
    rig.slowLink(MIB);
    const limits = { jobThresholdBytes: -1, batchTags: 2 };
    const { asked, ...more } = offloading(limits, { handOff: 'broken' });
    const report = await rig.mirror({}, { ...more, ...rig.delivery(30_000) });
    assert.deepEqual(asked, ['fanOut v1']);
    assert.deepEqual(outcomes(report), { v3: 'copied', v2: 'failed' });
    assert.equal(recordOf(report, 'v2').fault?.code, 'HAND_OFF_FAILED');
    assert.equal(report.ending, 'fanned-out');
    assert.deepEqual(report.delegated, ['v1']);
    assert.deepEqual(report.unfinished, ['v2']);
  });

  it('tells what is unfinished of a long list with signatures that the deadline cut', async () => {
    const signature = `${referrersTag(`sha256:${'e'.repeat(64)}`)}.sig`;
    const rig = new Rig({ v1: FAIR, big: BIG, [signature]: imageWith('signature', 1) });
    rig.slowLink(MIB);
    const old = imageWith('old', 1);
    for (let n = 0; n < 2000; n += 1) {
      rig.source.tag(`old-${n}`, old);
      rig.destination.tag(`old-${n}`, old);
    }
    const report = await rig.mirror(
      { exclusionList: [String.raw`^.*\.sig$`] },
      { ...rig.delivery(30_000), options: { referrers: true } },
    );
    assert.deepEqual([report.counts.copied, report.counts.failed], [1, 1]);
    assert.deepEqual(report.unfinished, ['big']);
  });

  it('gives the job a follower too whose blob began early and was cut', async () => {
    const rig = new Rig({ v1: FAIR });
    rig.slowLink(MIB);
    const { manifest } = FAIR;
    rig.source.refer(FAIR, imageOf('sbom', [blobOf('sbom', 40 * MIB)], { subject: manifest }));
    const list = referrersTag(manifest.digest);
    const { asked, ...more } = offloading({ jobThresholdBytes: -1, batchTags: 0 });
    const report = await rig.mirror(
      {},
      { ...more, ...rig.delivery(30_000), options: { referrers: true } },
    );
    assert.deepEqual(asked, [`handOff BlobTooSlow ${list}`]);
    assert.deepEqual(report.handedOff, [list]);
    assert.deepEqual(outcomes(report), { v1: 'copied' });
  });
});
