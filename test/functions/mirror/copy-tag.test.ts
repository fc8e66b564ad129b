import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { MirrorError } from '../../../functions/errors.ts';
import { referrersTag } from '../../../functions/oci/referrer-tags.ts';
import type { Outcome } from '../../../functions/mirror/outcome.ts';
import { FRESH_MS } from '../../../functions/mirror/tag-turns.ts';
import { until } from '../../until.ts';
import { failing } from './fakes.ts';
import { imageWith, referrerOf, type Image } from './images.ts';
import { has, recordOf, Rig } from './rig.ts';

const [old, fresh, newest] = [imageWith('old', 1), imageWith('fresh', 1), imageWith('newest', 1)];
const VERIFY_ALL = { options: { verifyTags: 'all' } } as const;

/** Lets time pass when the first blob arrives, and does something then. */
function whileCopying(rig: Rig, passMs: number, meanwhile: () => unknown = () => undefined): void {
  let done = false;
  rig.destination.before.push((call) => {
    if (done || !call.startsWith('destination commit')) return;
    done = true;
    rig.nowMs += passMs;
    meanwhile();
  });
}

describe('a tag that is copied quickly', () => {
  it('is not asked for again', async () => {
    const rig = new Rig({ v1: fresh });
    whileCopying(rig, FRESH_MS);
    assert.equal(recordOf(await rig.mirror(), 'v1').outcome, 'copied');
    assert.equal(rig.source.count('source headManifest'), 0);
    assert.equal(rig.destination.count('destination headManifest'), 0);
  });
});

describe('a tag whose manifest was read more than 5 s ago', () => {
  it('is asked for once more before it is pushed', async () => {
    const rig = new Rig({ v1: fresh });
    whileCopying(rig, FRESH_MS + 1);
    assert.equal(recordOf(await rig.mirror(), 'v1').outcome, 'copied');
    assert.equal(rig.source.count('source headManifest v1'), 1);
  });

  it('is lost when it is gone meanwhile, and not pushed', async () => {
    const rig = new Rig({ v1: fresh });
    whileCopying(rig, FRESH_MS + 1, () => rig.source.tags.delete('v1'));
    assert.equal(recordOf(await rig.mirror(), 'v1').outcome, 'lost');
    assert.equal(rig.source.count('source getManifest'), 1);
    assert.equal(rig.destination.digestOf('v1'), undefined);
  });

  it('is copied anew when it moved meanwhile', async () => {
    const rig = new Rig({ v1: fresh });
    whileCopying(rig, FRESH_MS + 1, () => rig.source.tag('v1', newest));
    const record = recordOf(await rig.mirror(), 'v1');
    assert.equal(record.outcome, 'copied');
    assert.equal(record.digest, newest.manifest.digest);
    assert.equal(rig.destination.digestOf('v1'), newest.manifest.digest);
    assert.equal(rig.destination.count('destination putManifest v1'), 1);
  });

  it('is given up when it moves three times', async () => {
    const rig = new Rig({ v1: imageWith('move 0', 1) });
    let moves = 0;
    rig.destination.before.push((call) => {
      if (!call.startsWith('destination commit')) return;
      rig.nowMs += FRESH_MS + 1;
      moves += 1;
      rig.source.tag('v1', imageWith(`move ${moves}`, 1));
    });
    const record = recordOf(await rig.mirror(), 'v1');
    assert.equal(record.fault?.code, 'TAG_MOVING');
    assert.equal(rig.source.count('source getManifest v1'), 3);
    assert.equal(rig.destination.count('destination putManifest'), 0);
  });
});

describe('a push whose answer was lost', () => {
  it('is found by the next look, and its signatures follow', async () => {
    const signature = `${referrersTag(fresh.manifest.digest)}.sig`;
    const rig = new Rig({ v1: fresh, [signature]: imageWith('signature', 1) });
    rig.destination.plain();
    const put = rig.destination.putManifest.bind(rig.destination);
    rig.destination.putManifest = async (reference, ...how) => {
      const answer = await put(reference, ...how);
      if (reference !== 'v1') return answer;
      // The answer did not come, and by then it was too late to send it again.
      rig.nowMs += FRESH_MS + 1;
      throw new MirrorError('ABORTED', 'its turn came too late');
    };
    const report = await rig.mirror({}, { options: { referrers: true } });
    assert.equal(recordOf(report, 'v1').reason, 'Identical');
    assert.equal(recordOf(report, signature).outcome, 'copied');
  });

  it('brings its referrers in the delivery that goes on after the deadline', async () => {
    const rig = new Rig({ v1: fresh });
    const signature = referrerOf(fresh, 'signature');
    rig.source.refer(fresh, signature);
    const put = rig.destination.putManifest.bind(rig.destination);
    const end = new AbortController();
    rig.destination.putManifest = async (reference, ...how) => {
      await put(reference, ...how);
      end.abort(new MirrorError('DEADLINE_EXCEEDED', 'the delivery ended'));
      throw new MirrorError('DEADLINE_EXCEEDED', 'the delivery ended');
    };
    const cut = await rig.mirror({}, { options: { referrers: true }, signal: end.signal });
    assert.deepEqual(cut.unfinished, ['v1']);
    rig.destination.putManifest = put;
    await rig.mirror({ tags: cut.unfinished }, { options: { referrers: true } });
    assert.ok(has(rig, signature));
  });
});

describe('a tag whose last look took long', () => {
  it('is looked at again, so that nothing is pushed on an old answer', async () => {
    const rig = new Rig({ v1: fresh });
    whileCopying(rig, FRESH_MS + 1);
    // The destination's answer makes the source's old, which meanwhile has moved.
    let slow = true;
    rig.destination.before.push((call) => {
      if (!slow || !call.startsWith('destination headManifest v1')) return;
      slow = false;
      rig.nowMs += FRESH_MS + 1;
      rig.source.tag('v1', newest);
    });
    const record = recordOf(await rig.mirror(), 'v1');
    assert.equal(record.digest, newest.manifest.digest);
    assert.equal(rig.destination.count('destination putManifest v1'), 1);
    assert.equal(rig.destination.digestOf('v1'), newest.manifest.digest);
  });
});

describe('a tag whose every look takes too long', () => {
  it('is given up after five, and comes again', async () => {
    const rig = new Rig({ v1: fresh });
    whileCopying(rig, FRESH_MS + 1);
    for (const { before } of [rig.source, rig.destination]) {
      before.push((call) => {
        if (call.includes(' headManifest v1')) rig.nowMs += FRESH_MS + 1;
      });
    }
    const report = await rig.mirror();
    assert.equal(recordOf(report, 'v1').fault?.code, 'TIMEOUT');
    assert.deepEqual(report.unfinished, ['v1']);
    // Each look makes the other side's answer old.
    assert.equal(rig.source.count('source headManifest'), 3);
    assert.equal(rig.destination.count('destination headManifest'), 3);
    assert.equal(rig.destination.count('destination putManifest'), 0);
  });
});

describe('a tag that goes between list and copy', () => {
  it('is lost', async () => {
    const rig = new Rig({ v1: fresh, v2: newest });
    rig.source.before.push((call) => {
      if (call === 'source getManifest v1') rig.source.tags.delete('v1');
    });
    const report = await rig.mirror();
    assert.equal(recordOf(report, 'v1').outcome, 'lost');
    assert.equal(recordOf(report, 'v2').outcome, 'copied');
    assert.deepEqual(report.unfinished, []);
  });
});

describe('a tag that is overwritten', () => {
  for (const [name, meanwhile, outcome, looks, previous] of [
    ['is looked at once more at the destination', () => undefined, 'overwritten', 1, old],
    [
      'is left alone when another process was first',
      ({ destination }) => destination.tag('v1', fresh),
      'skipped',
      1,
    ],
    [
      'tells what it overwrote in truth',
      ({ destination }) => destination.tag('v1', newest),
      'overwritten',
      2,
      newest,
    ],
    [
      'was copied when it was gone at the destination by then',
      ({ destination }) => destination.tags.delete('v1'),
      'copied',
      1,
    ],
  ] as readonly (readonly [string, (rig: Rig) => unknown, Outcome, number, Image?])[]) {
    it(name, async () => {
      const rig = new Rig({ v1: fresh }, { v1: old });
      whileCopying(rig, 0, () => meanwhile(rig));
      const record = recordOf(await rig.mirror({}, VERIFY_ALL), 'v1');
      assert.deepEqual(
        [record.outcome, record.previousDigest],
        [outcome, previous?.manifest.digest],
      );
      assert.equal(record.digest, fresh.manifest.digest);
      assert.equal(rig.destination.digestOf('v1'), fresh.manifest.digest);
      assert.equal(rig.destination.count('destination headManifest v1'), looks);
      assert.equal(rig.destination.count('destination putManifest'), outcome === 'skipped' ? 0 : 1);
    });
  }

  it('is skipped when it moved back before it was read', async () => {
    const rig = new Rig({ v1: fresh }, { v1: old });
    rig.source.before.push((call) => {
      if (call === 'source getManifest v1') rig.source.tag('v1', old);
    });
    assert.equal(recordOf(await rig.mirror({}, VERIFY_ALL), 'v1').outcome, 'skipped');
  });

  it('is only reported where drift is', async () => {
    const rig = new Rig({ v1: fresh }, { v1: old });
    const options = { verifyTags: 'all', onDrift: 'report' } as const;
    const record = recordOf(await rig.mirror({}, { options }), 'v1');
    assert.equal(record.outcome, 'drifted');
    assert.equal(record.reason, 'DriftReported');
    assert.equal(rig.destination.digestOf('v1'), old.manifest.digest);
    assert.equal(rig.source.count('source getManifest'), 0);
  });
});

describe('a tag that somebody pushes between list and push', () => {
  it('is never moved where drift is reported, however fresh the list', async () => {
    const rig = new Rig({ v1: fresh });
    whileCopying(rig, 0, () => rig.destination.tag('v1', newest));
    const record = recordOf(await rig.mirror({}, { options: { onDrift: 'report' } }), 'v1');
    assert.deepEqual([record.outcome, record.reason], ['drifted', 'DriftReported']);
    assert.equal(record.previousDigest, newest.manifest.digest);
    assert.equal(rig.destination.digestOf('v1'), newest.manifest.digest);
  });

  it('is seen where the list is older than 5 s, and planned again', async () => {
    const rig = new Rig({ v1: old });
    whileCopying(rig, FRESH_MS + 1, () => {
      rig.source.tag('v1', fresh);
      rig.destination.tag('v1', fresh);
    });
    assert.equal(recordOf(await rig.mirror(), 'v1').outcome, 'skipped');
    assert.equal(rig.destination.digestOf('v1'), fresh.manifest.digest);
    assert.equal(rig.destination.count('destination putManifest'), 0);
  });

  it('is seen where the list was cut', async () => {
    const rig = new Rig({ v1: fresh }, { other: old });
    rig.destination.map = 0;
    await rig.mirror();
    // Once to plan, once before the push.
    assert.equal(rig.destination.count('destination headManifest v1'), 2);
  });
});

describe('a tag that looks identical by an old list', () => {
  it('is looked at once more', async () => {
    const rig = new Rig({ v1: fresh }, { v1: old });
    rig.source.before.push((call) => {
      // The source goes back, and another process has pushed what it was in between.
      if (call !== 'source getManifest v1') return;
      rig.nowMs += FRESH_MS + 1;
      rig.source.tag('v1', old);
      rig.destination.tag('v1', fresh);
    });
    const record = recordOf(await rig.mirror({}, VERIFY_ALL), 'v1');
    assert.equal(record.outcome, 'overwritten');
    assert.equal(rig.destination.digestOf('v1'), old.manifest.digest);
  });
});

describe('two events on one tag of a process', () => {
  it('never end with what was read before the other pushed', async () => {
    const rig = new Rig({ v1: old });
    let second: Promise<unknown> | undefined;
    whileCopying(rig, 0, () => {
      rig.source.tag('v1', fresh);
      second = rig.mirror();
    });
    // The first push waits for the second event to have read the tag.
    const put = rig.destination.hold('destination putManifest v1', 1);
    const first = rig.mirror();
    await until(() => rig.source.count('source getManifest v1') >= 2);
    put.release();
    await Promise.all([first, second]);
    assert.equal(rig.destination.digestOf('v1'), fresh.manifest.digest);
  });

  it('ask again for what was read before the other pushed', async () => {
    const rig = new Rig({ v1: old });
    whileCopying(rig, 0, () => {
      rig.source.tag('v1', fresh);
      rig.destination.tag('v1', fresh);
      rig.tagTurns.pushed(rig.destination, 'v1');
    });
    assert.equal(recordOf(await rig.mirror(), 'v1').outcome, 'skipped');
    assert.equal(rig.destination.digestOf('v1'), fresh.manifest.digest);
  });
});

describe('an immutable destination', () => {
  it('is looked at before every push once it is known as such', async () => {
    const rig = new Rig({ v1: fresh }, { v1: old });
    rig.destination.immutable = true;
    assert.equal(recordOf(await rig.mirror({}, VERIFY_ALL), 'v1').outcome, 'drifted');
    const before = rig.destination.count('destination headManifest v2');
    rig.source.tag('v2', fresh);
    assert.equal(recordOf(await rig.mirror(), 'v2').outcome, 'copied');
    assert.equal(rig.destination.count('destination headManifest v2'), before + 1);
  });

  for (const [image, outcome] of [
    [old, 'drifted'],
    [fresh, 'copied'],
  ] as const) {
    it(`makes ${outcome} of a tag that another process pushed meanwhile`, async () => {
      const rig = new Rig({ v1: fresh });
      rig.destination.immutable = true;
      rig.destination.before.push((call) => {
        if (call !== 'destination putManifest v1') return;
        rig.destination.before.length = 0;
        rig.destination.tag('v1', image);
      });
      assert.equal(recordOf(await rig.mirror(), 'v1').outcome, outcome);
    });
  }

  it('may refuse a tag that is right already', async () => {
    const rig = new Rig({ v1: fresh });
    rig.destination.before.push(failing('destination putManifest v1', 'TAG_IMMUTABLE'));
    const there = { ...fresh.manifest, sizeBytes: undefined };
    rig.destination.headManifest = async (_tag, _signal, isListed = false) =>
      Promise.resolve(isListed ? there : undefined);
    const { outcome, reason } = recordOf(await rig.mirror(), 'v1');
    assert.deepEqual([outcome, reason], ['skipped', 'Identical']);
  });

  for (const [word, outcome, code] of [
    ['its HEAD', 'drifted', undefined],
    ['all of it', 'failed', undefined],
    ['a 403', 'failed', 'FORBIDDEN'],
  ] as const) {
    it(`ends in one ${outcome} tag where ${word} denies the tag that may not be moved`, async () => {
      const rig = new Rig({ v1: fresh });
      rig.destination.before.push(failing('destination putManifest v1', 'TAG_IMMUTABLE'));
      const there = { ...old.manifest, sizeBytes: undefined };
      rig.destination.headManifest = async (_tag, _signal, isListed = false) => {
        if (code !== undefined) throw new MirrorError(code, 'no');
        return Promise.resolve(isListed && outcome === 'drifted' ? there : undefined);
      };
      const report = await rig.mirror();
      const { fault, ...record } = recordOf(report, 'v1');
      // Of what is not there ACR says so where its storage is full, Nexus where its digest has another tag.
      const isMissing = word === 'all of it';
      assert.equal(record.outcome, outcome);
      assert.equal(fault?.code, isMissing ? 'REQUEST_REFUSED' : 'TAG_IMMUTABLE');
      assert.deepEqual(report.unfinished, isMissing ? ['v1'] : []);
      assert.equal(rig.destination.count('destination putManifest'), 1);
    });
  }
});

describe('a destination without a map', () => {
  it('is not asked for a missing tag by digest', async () => {
    const rig = new Rig({ v1: imageWith('v1', 1) });
    rig.destination.plain();
    await rig.mirror();
    assert.equal(rig.destination.count('destination headManifest'), 0);
  });

  it('retags what this process knows to be there', async () => {
    const rig = new Rig({ v1: fresh });
    rig.destination.plain();
    await rig.mirror();
    rig.source.tag('v2', fresh);
    rig.nowMs += 1;
    const record = recordOf(await rig.mirror(), 'v2');
    assert.equal(record.outcome, 'retagged');
    assert.equal(record.bytesUploaded, 0);
  });

  it('retags what verifying another tag brought to light', async () => {
    const rig = new Rig({ v1: fresh, v2: fresh }, { v1: fresh });
    rig.destination.plain();
    const report = await rig.mirror({}, VERIFY_ALL);
    assert.equal(recordOf(report, 'v2').outcome, 'retagged');
    assert.equal(rig.destination.count('destination uploadBlob'), 0);
  });
});
