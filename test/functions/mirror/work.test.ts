import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { DecidedStep } from '../../../functions/mirror/resolve-plan.ts';
import { inOrder, isWork } from '../../../functions/mirror/work.ts';
import { NO_DEADLINE } from '../../../functions/mirror/deadline.ts';
import type { Before } from './fakes.ts';
import { imageWith } from './images.ts';
import { outcomes, recordOf, Rig } from './rig.ts';

/** Gives everything else so many turns. */
async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await new Promise((go) => setImmediate(go));
}

/** Counts how many calls that begin with `prefix` are under way; each takes a few turns. */
function watch(before: Before[], prefix: string): { readonly most: number } {
  const seen = { running: 0, most: 0 };
  before.push(async (call) => {
    if (!call.startsWith(prefix)) return;
    seen.running += 1;
    seen.most = Math.max(seen.most, seen.running);
    await turns(5);
    seen.running -= 1;
  });
  return seen;
}

const digest = 'sha256:x';
const steps: readonly DecidedStep[] = [
  { tag: 'v1.0.0', action: 'copy', reason: 'Missing' },
  { tag: 'nightly', action: 'retag', reason: 'DigestPresent', digest },
  { tag: 'v10.0.0', action: 'copy', reason: 'Missing' },
  { tag: 'v9.0.0', action: 'overwrite', reason: 'Moved', digest, previousDigest: digest },
  { tag: 'v2.0.0', action: 'skip', reason: 'NotVerified' },
  { tag: 'v3.0.0', action: 'hold', reason: 'BrakeEngaged' },
];

describe('isWork', () => {
  it('is what changes the destination', () => {
    assert.deepEqual(
      steps.filter(isWork).map(({ action }) => action),
      ['copy', 'retag', 'copy', 'overwrite'],
    );
  });
});

describe('inOrder', () => {
  it('puts the newest first', () => {
    assert.deepEqual(
      inOrder(steps.filter(isWork)).map(({ tag }) => tag),
      ['v10.0.0', 'v9.0.0', 'v1.0.0', 'nightly'],
    );
  });
});

describe('carrying out', () => {
  it('begins the blobs of as many tags at once as there are workers, where they wait for streams', async () => {
    for (const tagWorkers of [1, 3]) {
      const rig = new Rig();
      const uploads = watch(rig.destination.before, 'destination uploadBlob');
      for (let tag = 0; tag < 12; tag += 1) rig.source.tag(`v${tag}`, imageWith(`${tag}`, 19));
      await rig.mirror({}, { options: { tagWorkers } });
      assert.equal(uploads.most, 20 * tagWorkers);
    }
  });

  it('begins further tags while the streams that one host may have suffice for their blobs', async () => {
    const rig = new Rig();
    const upload = rig.destination.hold('destination uploadBlob');
    for (let tag = 0; tag < 12; tag += 1) rig.source.tag(`v${tag}`, imageWith(`${tag}`, 1));
    const mirrored = rig.mirror({}, { options: { tagWorkers: 2 } });
    await turns(200);
    // Three of two small blobs each have the six; the fourth and the fifth wait, and the sixth is not begun.
    assert.equal(rig.destination.count('destination uploadBlob'), 10);
    upload.release();
    assert.equal(Object.values(outcomes(await mirrored)).length, 12);
    assert.deepEqual(rig.pool.openWork(), []);
  });

  it('reads as many tags ahead and pushes as many behind, and no more', async () => {
    const rig = new Rig();
    const upload = rig.destination.hold('destination uploadBlob');
    for (let tag = 0; tag < 12; tag += 1) rig.source.tag(`v${tag}`, imageWith(`${tag}`, 1));
    const mirrored = rig.mirror({}, { options: { tagWorkers: 2 } });
    await turns(200);
    assert.equal(rig.source.count('source getManifest'), 6);
    upload.release();
    assert.equal(Object.values(outcomes(await mirrored)).length, 12);
  });

  it('begins further tags when all blobs of the first are on their way', async () => {
    const rig = new Rig();
    const held = Promise.withResolvers<undefined>();
    rig.destination.onChunk = async () => held.promise;
    for (let tag = 0; tag < 3; tag += 1) rig.source.tag(`v${tag}`, imageWith(`${tag}`, 1));
    const mirrored = rig.mirror({}, { options: { tagWorkers: 1 } });
    await turns(200);
    assert.equal(rig.destination.mostUploads, 6);
    held.resolve(undefined);
    const all = { v0: 'copied', v1: 'copied', v2: 'copied' };
    assert.deepEqual(outcomes(await mirrored), all);
  });

  it('brings layers of a seventh of what a delivery carries, on a link that all streams share', async () => {
    const rig = new Rig();
    const layerBytes = 1024 * 1024;
    for (let tag = 0; tag < 20; tag += 1) {
      rig.source.tag(`v${tag}`, imageWith(`${tag}`, 1, layerBytes));
    }
    const wholeMs = 540_000;
    rig.slowLink((7 * layerBytes * 1000) / wholeMs);
    const unfinished: number[] = [];
    for (let count = 1; count <= 5; count += 1) {
      const report = await rig.mirror({}, rig.delivery(wholeMs));
      assert.ok(report.records.every(({ fault }) => fault?.code !== 'DELIVERY_TOO_SHORT'));
      unfinished.push(report.unfinished.length);
    }
    assert.equal(unfinished.at(-1), 0, unfinished.join(' '));
  });

  it('begins no tag that needs blobs in the last ninth, but retags', async () => {
    const image = imageWith('there', 1);
    const rig = new Rig({ v1: image, v2: image, v3: imageWith('missing', 1) }, { v1: image });
    rig.source.tellsDigests = true;
    const deadline = { ...NO_DEADLINE, lastStart: AbortSignal.abort(), earlyUntilMs: 0 };
    const report = await rig.mirror({}, { deadline });
    assert.deepEqual(outcomes(report), { v1: 'skipped', v2: 'retagged', v3: 'failed' });
    assert.equal(recordOf(report, 'v3').fault?.code, 'DEADLINE_EXCEEDED');
    assert.deepEqual(report.unfinished, ['v3']);
    assert.equal(report.interrupted, true);
    assert.equal(rig.source.count('source getManifest v3'), 0);
  });

  it('leaves every tag unfinished when it is interrupted, and asks nothing more', async () => {
    const rig = new Rig();
    for (let tag = 0; tag < 20; tag += 1) rig.source.tag(`v${tag}`, imageWith(`${tag}`, 1));
    const end = new AbortController();
    rig.destination.before.push((call) => {
      if (call.startsWith('destination putManifest')) end.abort();
    });
    const report = await rig.mirror({}, { signal: end.signal, options: { tagWorkers: 1 } });
    assert.equal(report.interrupted, true);
    assert.equal(report.unfinished.length, 20);
    assert.equal(report.progressed, true);
    // The one that was pushed, and what was read ahead of it.
    assert.ok(rig.source.count('source getManifest') <= 3);
  });
});
