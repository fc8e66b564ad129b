import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { blobOf, imageOf, imageWith, indexOf } from './images.ts';
import { outcomes, recordOf, Rig } from './rig.ts';

describe('mirrorRepository', () => {
  it('copies missing tags with everything that they name', async () => {
    const rig = new Rig();
    const single = imageWith('single', 3);
    const multi = indexOf([imageWith('amd64', 2), imageWith('arm64', 2)]);
    rig.source.tag('v1', single).tag('v2', multi);

    const report = await rig.mirror();

    assert.deepEqual(outcomes(report), { v1: 'copied', v2: 'copied' });
    assert.equal(rig.destination.digestOf('v1'), single.manifest.digest);
    assert.equal(rig.destination.digestOf('v2'), multi.manifest.digest);
    assert.equal(report.bytesUploaded, rig.destination.bytesReceived);
    assert.equal(report.ending, 'finished');
    assert.equal(report.progressed, true);
    assert.deepEqual(report.unfinished, []);
  });

  it('asks for nothing but the two lists when all tags are there', async () => {
    const rig = new Rig();
    for (const tag of ['v1', 'v2']) {
      rig.source.tag(tag, imageWith(tag, 1));
      rig.destination.tag(tag, imageWith(tag, 1));
    }

    const report = await rig.mirror();

    assert.deepEqual(outcomes(report), { v1: 'skipped', v2: 'skipped' });
    assert.deepEqual(rig.source.calls, ['source listTags']);
    assert.deepEqual(rig.destination.calls, ['destination listTags']);
    assert.equal(report.progressed, false);
  });

  it('retags what the destination has under another name without touching a blob', async () => {
    const rig = new Rig();
    const image = imageWith('one', 2);
    rig.source.tag('v1', image).tag('latest', image);
    rig.destination.tag('v1', image);

    const report = await rig.mirror();

    assert.deepEqual(outcomes(report), { v1: 'skipped', latest: 'retagged' });
    assert.deepEqual(rig.source.calls, ['source listTags', 'source getManifest latest']);
    assert.equal(rig.destination.count('destination uploadBlob'), 0);
    assert.equal(rig.destination.digestOf('latest'), image.manifest.digest);
  });

  it('copies one of two missing tags of one digest and retags the other', async () => {
    const rig = new Rig();
    const image = imageWith('one', 2);
    rig.source.tag('v1', image).tag('v2', image);

    const report = await rig.mirror();

    assert.deepEqual(Object.values(outcomes(report)).sort(), ['copied', 'retagged']);
    assert.equal(rig.destination.count('destination uploadBlob'), 3);
  });

  it('overwrites a tag that moved, after a last look at the destination', async () => {
    const rig = new Rig();
    const [old, fresh] = [imageWith('old', 1), imageWith('fresh', 1)];
    rig.source.tag('latest', fresh);
    rig.destination.tag('latest', old);

    const report = await rig.mirror({}, { options: { verifyTags: 'all' } });

    const record = recordOf(report, 'latest');
    assert.equal(record.outcome, 'overwritten');
    assert.equal(record.digest, fresh.manifest.digest);
    assert.equal(record.previousDigest, old.manifest.digest);
    assert.equal(rig.destination.count('destination headManifest latest'), 1);
  });

  it('sends a blob that many tags share once', async () => {
    const rig = new Rig();
    const shared = Array.from({ length: 4 }, (_none, index) => blobOf(`shared ${index}`));
    for (let tag = 0; tag < 10; tag += 1) {
      rig.source.tag(`v${tag}`, imageOf(`v${tag}`, [...shared, blobOf(`own ${tag}`)]));
    }

    const report = await rig.mirror();

    assert.equal(report.counts.copied, 10);
    assert.equal(rig.destination.count('destination uploadBlob'), 24);
    assert.equal(report.blobsUploaded, 24);
    assert.ok(rig.destination.mostUploads > 4);
  });

  it('tells in a dry run what it would do and changes nothing', async () => {
    const rig = new Rig();
    const [one, two, three] = [imageWith('1', 1), imageWith('2', 1), imageWith('3', 1)];
    rig.source.tag('new', one).tag('same', two).tag('also', two).tag('moved', three);
    rig.destination.tag('same', two).tag('moved', two);

    const report = await rig.mirror({}, { options: { dryRun: true, verifyTags: 'all' } });

    assert.deepEqual(outcomes(report), {
      new: 'would-copy',
      same: 'skipped',
      also: 'would-retag',
      moved: 'would-overwrite',
    });
    assert.equal(rig.destination.count('destination put'), 0);
    assert.equal(rig.destination.count('destination upload'), 0);
  });
});
