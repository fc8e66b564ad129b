import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { MirrorEvent } from '../../../functions/contract/event.ts';
import { MirrorError, type ErrorCode } from '../../../functions/errors.ts';
import { parseBackupTag } from '../../../functions/mirror/backup-tag.ts';
import type { MirrorOptions } from '../../../functions/mirror/options.ts';
import type { SourceRepository, TagListing } from '../../../functions/mirror/ports.ts';
import type { MirrorReport } from '../../../functions/mirror/report.ts';
import { referrersTag } from '../../../functions/oci/referrer-tags.ts';
import { decideAfterWork } from '../../../functions/subscriber/decision.ts';
import { continuationsOf } from '../../../functions/subscriber/derived-events.ts';
import { platformsOf } from '../../../functions/mirror/platforms.ts';
import { sampleEvent } from '../subscriber/samples.ts';
import { failing, FakeDestination, FakeHost, FakeSource } from './fakes.ts';
import { blobOf, imageOf, imageWith, indexOf, platformIndex, type Image } from './images.ts';
import { offloading, outcomes, recordOf, Rig } from './rig.ts';
import { rejection } from '../../faults.ts';

describe('mirrorRepository', () => {
  it('copies missing tags with everything that they name', async () => {
    const single = imageWith('single', 3);
    const multi = indexOf([imageWith('amd64', 2), imageWith('arm64', 2)]);
    const rig = new Rig({ v1: single, v2: multi });

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
    const image = imageWith('one', 2);
    const rig = new Rig({ v1: image, latest: image }, { v1: image });

    const report = await rig.mirror();

    assert.deepEqual(outcomes(report), { v1: 'skipped', latest: 'retagged' });
    assert.deepEqual(rig.source.calls, ['source listTags', 'source getManifest latest']);
    assert.equal(rig.destination.count('destination uploadBlob'), 0);
    assert.equal(rig.destination.digestOf('latest'), image.manifest.digest);
  });

  it('copies one of two missing tags of one digest and retags the other', async () => {
    const image = imageWith('one', 2);
    const rig = new Rig({ v1: image, v2: image });

    const report = await rig.mirror();

    assert.deepEqual(Object.values(outcomes(report)).sort(), ['copied', 'retagged']);
    assert.equal(rig.destination.count('destination uploadBlob'), 3);
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
    const [one, two, three] = [imageWith('1', 1), imageWith('2', 1), imageWith('3', 1)];
    const rig = new Rig(
      { new: one, same: two, also: two, moved: three },
      { same: two, moved: two },
    );

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

describe('what an event selects', () => {
  it('is every tag but the excluded ones and those that the selection drops', async () => {
    const rig = new Rig();
    for (const tag of ['1.0.0', '1.1.0', '2.0.0', 'dev', 'latest']) {
      rig.source.tag(tag, imageWith(tag, 0));
    }
    const report = await rig.mirror({ exclusionList: ['^dev$'], selection: { semver: '1.x' } });
    assert.deepEqual(Object.keys(outcomes(report)).sort(), ['1.0.0', '1.1.0']);
    assert.equal(report.sourceTagCount, 5);
    assert.equal(report.selectedTagCount, 2);
  });

  it('is what the process selects where the event does not say', async () => {
    const rig = new Rig();
    for (const tag of ['1.0.0', '2.0.0']) rig.source.tag(tag, imageWith(tag, 0));
    const options = { selection: { latest: 1 } };
    assert.deepEqual(outcomes(await rig.mirror({}, { options })), { '2.0.0': 'copied' });
    assert.deepEqual(outcomes(await rig.mirror({ selection: {} }, { options })), {
      '1.0.0': 'copied',
      '2.0.0': 'skipped',
    });
  });

  it('is exactly the requested tags, each once', async () => {
    const rig = new Rig({ dev: imageWith('dev', 0), v1: imageWith('v1', 0) });
    const report = await rig.mirror({ tags: ['dev', 'dev', 'gone'], exclusionList: ['.*'] });
    assert.deepEqual(outcomes(report), { dev: 'copied', gone: 'lost' });
    assert.equal(report.records.length, 2);
  });

  it('is nothing where a pattern is malformed: no request is made', async () => {
    const rig = new Rig({ v1: imageWith('v1', 0) });
    await rejection(rig.mirror({ exclusionList: ['('] }), 'EVENT_INVALID');
    await rejection(rig.mirror({ selection: { semver: 'x.y.z.w' } }), 'EVENT_INVALID');
    assert.deepEqual(rig.source.calls, []);
  });
});

describe('names that are no tags', () => {
  it('are left aside, counted and named, in a dry run too', async () => {
    for (const dryRun of [true, false]) {
      const rig = new Rig({ v1: imageWith('one', 1) });
      rig.source.invalidTags = Array.from({ length: 30 }, (_, n) => `a b ${n}`);
      const report = await rig.mirror({}, { options: { dryRun } });
      assert.equal(report.leftAside, 30);
      assert.equal(report.counts.skipped, 30);
      assert.equal(report.counts.failed, 0);
      const named = report.records.filter(({ reason }) => reason === 'TagInvalid');
      assert.deepEqual(
        named.map(({ tag }) => tag),
        rig.source.invalidTags.slice(0, 20),
      );
    }
  });

  it('are not told again where the tags are asked for by name', async () => {
    const rig = new Rig({ v1: imageWith('one', 1) });
    rig.source.invalidTags = ['a b'];
    assert.equal(
      (await rig.mirror({ tags: ['v1'] }, { options: { referrers: true } })).leftAside,
      0,
    );
  });
});

describe('layers at third parties’ URLs', () => {
  it('are left aside of what is copied, in an index too, and named', async () => {
    const type = 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip';
    const foreign = blobOf('foreign', 10, type);
    const windows = imageOf('windows', [foreign], { urls: ['https://example.com/layer'] });
    const rig = new Rig({
      v1: windows,
      v2: indexOf([imageOf('two', [foreign], { urls: ['x:'] })]),
      v3: imageWith('linux', 1),
    });
    const report = await rig.mirror();
    assert.deepEqual(report.counts.copied, 3);
    const left = report.records.filter(({ reason }) => reason === 'ForeignLayers');
    assert.deepEqual(left.map(({ tag }) => tag).sort(), ['v1', 'v2']);
    assert.equal(report.leftAside, 2);
    // What is there already has nothing left aside by this event.
    assert.equal((await rig.mirror({ verify: 'all' })).leftAside, 0);
  });
});

describe('the brake', () => {
  function flood(): Rig {
    const rig = new Rig();
    for (let tag = 1; tag <= 5; tag += 1) rig.source.tag(`${tag}.0.0`, imageWith(`${tag}`, 0));
    return rig;
  }
  const options = { maxMissingTags: 2 };

  it('holds all but the newest, at every later event too', async () => {
    const rig = flood();
    for (const newest of ['copied', 'skipped']) {
      const report = await rig.mirror({}, { options });
      assert.deepEqual(outcomes(report), {
        '1.0.0': 'held',
        '2.0.0': 'held',
        '3.0.0': 'held',
        '4.0.0': newest,
        '5.0.0': newest,
      });
      assert.equal(report.brake.held, 3);
      assert.equal(report.brake.engaged, true);
      assert.deepEqual(report.unfinished, []);
    }
  });

  it('is lifted by request, and for requested tags', async () => {
    assert.equal((await flood().mirror({ reason: 'requested' }, { options })).counts.copied, 5);
    const tags = ['1.0.0', '2.0.0', '3.0.0'];
    assert.equal((await flood().mirror({ tags }, { options })).counts.copied, 3);
  });

  it('tells in a dry run what it would hold', async () => {
    const report = await flood().mirror({}, { options: { ...options, dryRun: true } });
    assert.equal(report.counts['would-hold'], 3);
    assert.equal(report.counts['would-copy'], 2);
  });
});

describe('a source that is not there', () => {
  it('is lost as a whole', async () => {
    const rig = new Rig({}, { old: imageWith('old', 0) });
    rig.source.missing = true;
    const report = await rig.mirror({}, { options: { maxMissingTags: 7 } });
    assert.equal(report.ending, 'source-lost');
    assert.deepEqual([report.records, report.delegated], [[], []]);
    const { sourceTagCount, selectedTagCount, destinationTagCount } = report;
    assert.deepEqual([sourceTagCount, selectedTagCount, destinationTagCount], [0, 0, 1]);
    assert.deepEqual(report.brake, { engaged: false, missing: 0, maxMissingTags: 7, held: 0 });
  });

  it('loses every requested tag', async () => {
    const rig = new Rig();
    rig.source.missing = true;
    const report = await rig.mirror({ tags: ['v1', 'v2'] }, { options: { referrers: true } });
    assert.deepEqual(outcomes(report), { v1: 'lost', v2: 'lost' });
    assert.equal(report.ending, 'source-lost');
  });
});

describe('tags that are asked for by name', () => {
  /** From a source with a list of its own, or none. */
  async function cameByName(
    rig: Rig,
    listTags: SourceRepository['listTags'],
    ...tags: readonly string[]
  ): Promise<MirrorReport> {
    rig.source.listTags = listTags;
    return rig.mirror({ reason: 'requested', tags }, { options: { referrers: true } });
  }

  const refused = (code: ErrorCode) => (): Promise<never> =>
    Promise.reject(new MirrorError(code, 'no list', { side: 'source' }));
  const listed =
    (...tags: readonly string[]) =>
    (): Promise<TagListing> =>
      Promise.resolve({ tags, invalidTags: [], map: undefined });
  const absent = (): Promise<undefined> => Promise.resolve(undefined);

  it('come although a cache lists only what it holds; what it cannot fetch is lost', async () => {
    const rig = new Rig({ v1: imageWith('image', 1) });
    const report = await cameByName(rig, listed('v0'), 'v1', 'v2');
    assert.deepEqual(outcomes(report), { v1: 'copied', v2: 'lost' });
    assert.deepEqual([report.ending, report.sourceUnlisted], ['finished', undefined]);
    assert.equal(rig.source.count('source headManifest v1'), 0);
    assert.equal(rig.source.count('source getManifest v1'), 1);
  });

  it('are lost where the destination has what the source has no more', async () => {
    const rig = new Rig({}, { v1: imageWith('image', 1) });
    const report = await cameByName(rig, listed('v0'), 'v1');
    assert.deepEqual(outcomes(report), { v1: 'lost' });
    assert.deepEqual([...rig.destination.tags.keys()], ['v1']);
  });

  it('come from a cache that holds nothing of the repository, which is told', async () => {
    const rig = new Rig({ v1: imageWith('image', 1) });
    const report = await cameByName(rig, absent, 'v1', 'v2');
    assert.deepEqual(outcomes(report), { v1: 'copied', v2: 'lost' });
    assert.deepEqual([report.ending, report.sourceUnlisted], ['finished', 'NOT_FOUND']);
  });

  for (const code of ['FORBIDDEN', 'UNAUTHORIZED', 'REQUEST_REFUSED', 'LIST_TOO_LARGE'] as const) {
    it(`come where the list is ${code}, which is told`, async () => {
      const rig = new Rig({ v1: imageWith('image', 1) });
      const report = await cameByName(rig, refused(code), 'v1', 'v2');
      assert.deepEqual(outcomes(report), { v1: 'copied', v2: 'lost' });
      assert.deepEqual([report.ending, report.sourceUnlisted], ['finished', code]);
    });
  }

  it('fail with the list where they may not be read either: three more requests', async () => {
    const rig = new Rig();
    rig.source.before.push(failing('source headManifest', 'FORBIDDEN'));
    const names = ['v1', 'v2', 'v3', 'v4'];
    await rejection(cameByName(rig, refused('UNAUTHORIZED'), ...names), 'UNAUTHORIZED');
    assert.deepEqual(
      rig.source.calls,
      names.slice(0, 3).map((name) => `source headManifest ${name}`),
    );
  });

  it('come where one of them is quarantined by a page', async () => {
    const rig = new Rig();
    for (const tag of ['v1', 'v2']) rig.source.tag(tag, imageWith(tag, 1));
    rig.source.before.push((call) => {
      if (/^source \w+Manifest v1$/.test(call))
        throw new MirrorError('RESPONSE_INVALID', 'a page', { side: 'source', status: 403 });
    });
    const report = await cameByName(rig, refused('FORBIDDEN'), 'v1', 'v2');
    assert.deepEqual(outcomes(report), { v1: 'failed', v2: 'copied' });
  });

  it('fail with a list that time mends', async () => {
    const rig = new Rig({ v1: imageWith('image', 1) });
    await rejection(cameByName(rig, refused('SERVER_ERROR'), 'v1'), 'SERVER_ERROR');
    assert.deepEqual(rig.source.calls, []);
  });

  it('are images of their own although they are named after a digest and not listed', async () => {
    const own = imageWith('image', 1);
    const name = `sha256-${'a'.repeat(64)}`;
    const rig = new Rig({ [name]: own });
    for (const list of [listed('v0'), absent]) {
      const report = await cameByName(rig, list, name, `sha256-${'b'.repeat(64)}`);
      assert.equal(rig.destination.digestOf(name), own.manifest.digest);
      assert.equal(report.counts.lost, 1);
      rig.destination.tags.clear();
    }
  });
});

describe('a destination that lost everything', () => {
  it('is believed by its map, whatever this process has brought', async () => {
    const rig = new Rig({ v1: imageWith('image', 1) });
    await rig.mirror();
    for (const kept of ['tags', 'manifests', 'blobs'] as const) rig.destination[kept].clear();
    rig.destination.tag('v0', imageWith('other', 1));
    rig.nowMs += 1;
    assert.equal(recordOf(await rig.mirror(), 'v1').outcome, 'copied');
  });
});

describe('what never happens', () => {
  it('is a removal: tags that the source has no more stay', async () => {
    const rig = new Rig({ new: imageWith('new', 0) }, { old: imageWith('old', 0) });
    await rig.mirror();
    assert.deepEqual([...rig.destination.tags.keys()], ['old', 'new']);
  });
});

describe('a failing list', () => {
  it('of the source fails the event, with its fault', async () => {
    const rig = new Rig();
    rig.source.before.push(failing('source listTags', 'FORBIDDEN'));
    await rejection(rig.mirror(), 'FORBIDDEN');
  });

  for (const code of ['FORBIDDEN', 'UNAUTHORIZED', 'REQUEST_REFUSED'] as const) {
    it(`of the destination that is ${code} is replaced by a HEAD of each tag`, async () => {
      const [one, two] = [imageWith('one', 1), imageWith('two', 1)];
      const rig = new Rig(
        { missing: imageWith('new', 1), moved: one, same: two, twin: two },
        { moved: two, same: two },
      );
      rig.destination.before.push(failing('destination listTags', code));
      const report = await rig.mirror({}, { options: { verifyTags: 'all' } });
      assert.deepEqual(outcomes(report), {
        ...{ missing: 'copied', moved: 'overwritten', same: 'skipped', twin: 'retagged' },
      });
      assert.deepEqual([report.destinationTagCount, report.destinationUnlisted], [2, code]);
      // One each, and the last look before the overwriting push.
      assert.equal(rig.destination.count('destination headManifest'), 5);
      assert.equal(rig.destination.count('destination uploadBlob'), 4);
    });
  }

  for (const tags of [undefined, Array.from({ length: 1000 }, (_none, index) => `v${index}`)]) {
    it(`of a closed destination is the fault of ${tags === undefined ? 'all' : 'named'} tags, after three of them`, async () => {
      const rig = new Rig();
      // Another API may tell tags that cannot be read or pushed.
      rig.destination.tagDigests = true;
      const image = imageWith('image', 1);
      for (let tag = 0; tag < 50; tag += 1) rig.source.tag(`v${tag}`, image);
      rig.destination.before.push(failing('destination listTags', 'UNAUTHORIZED'));
      rig.destination.before.push(failing('destination headManifest', 'FORBIDDEN'));
      rig.destination.before.push(failing('destination uploadBlob', 'FORBIDDEN'));
      const wish = tags === undefined ? {} : { tags };
      for (const [options, uploads] of [
        [{ verifyTags: 'all' }, 1],
        [{ verifyTags: 'none' }, 0],
        [{ dryRun: true }, 0],
        [{ onDrift: 'report' }, 0],
      ] as const) {
        rig.destination.calls.length = 0;
        await rejection(rig.mirror(wish, { options }), 'UNAUTHORIZED');
        assert.equal(rig.destination.count('destination headManifest'), 3);
        // Besides its own list nothing but one small blob tells that all of it is closed.
        assert.equal(rig.destination.calls.length, 4 + uploads);
      }
    });
  }

  it('of a destination that a firewall’s pages close is told after three tags', async () => {
    const rig = new Rig();
    for (let tag = 0; tag < 50; tag += 1) rig.source.tag(`v${tag}`, imageWith('image', 1));
    rig.destination.before.push(failing('destination listTags', 'FORBIDDEN'), (call) => {
      if (!call.startsWith('destination headManifest')) return;
      throw new MirrorError('RESPONSE_INVALID', 'a page', { status: 403, side: 'destination' });
    });
    await rejection(rig.mirror(), 'FORBIDDEN');
    assert.equal(rig.destination.calls.length, 4);
  });

  it('of the destination fails only the tags that are refused where another is not', async () => {
    const rig = new Rig();
    for (const tag of ['v1', 'v2', 'v3', 'v4']) rig.source.tag(tag, imageWith(tag, 1));
    rig.destination.before.push(failing('destination listTags', 'FORBIDDEN'));
    rig.destination.before.push(failing('destination headManifest v1', 'UNAUTHORIZED'));
    const report = await rig.mirror();
    assert.deepEqual([report.counts.copied, report.counts.failed], [3, 1]);
  });
});

describe('a destination that answers 403 for what is not there', () => {
  const [image, before] = [imageWith('amd64', 1, 6000), imageWith('before', 1)];

  /** As virtual repositories of Artifactory do, and accounts that may push and not read. */
  function forbidding(what: Image, refusesList = false): Rig {
    const rig = new Rig();
    const { destination } = rig;
    rig.source.tag('v1', what);
    destination.plain();
    destination.tag('v0', before);
    destination.before.push((call) => {
      const [, asked = '', reference = ''] = call.split(' ');
      const isThere = destination.tags.has(reference) || destination.manifests.has(reference);
      const isHidden = asked === 'headManifest' && !isThere;
      if (isHidden || (refusesList && asked === 'listTags'))
        throw new MirrorError('FORBIDDEN', 'status 403', { side: 'destination' });
    });
    return rig;
  }

  for (const { what, image: given = image, tags, refusesList, isSlow } of [
    { what: 'an image of several platforms', image: indexOf([image, imageWith('arm64', 1)]) },
    { what: 'a tag that is named', tags: ['v1'] },
    { what: 'a tag whose blobs took more than 5 s', isSlow: true },
    { what: 'a tag where there is no list', refusesList: true },
  ] as readonly {
    readonly what: string;
    readonly image?: Image;
    readonly tags?: readonly string[];
    readonly refusesList?: boolean;
    readonly isSlow?: boolean;
  }[]) {
    it(`is given ${what}, and its signature`, async () => {
      const rig = forbidding(given, refusesList);
      const signature = `${referrersTag(given.manifest.digest)}.sig`;
      rig.source.tag(signature, imageWith('signature', 1));
      if (isSlow === true) rig.slowLink(1000);
      const wish = tags === undefined ? {} : { tags };
      const options = { referrers: true, verifyTags: 'all' } as const;
      const report = await rig.mirror(wish, { options });
      assert.deepEqual(outcomes(report), { v1: 'copied', [signature]: 'copied' });
    });
  }

  for (const [what, code, options] of [
    ['nothing may be moved', 'FORBIDDEN', { onDrift: 'report' }],
    ['what is moved is kept', 'FORBIDDEN', { backupTag: parseBackupTag('backup-{tag}-{digest}') }],
    ['the credentials are wrong', 'UNAUTHORIZED', {}],
  ] as const) {
    it(`is not given a tag that may be there, where ${what}`, async () => {
      for (const wish of [{ tags: ['v1'] }, {}]) {
        const rig = forbidding(image);
        rig.slowLink(1000);
        rig.destination.before.unshift(failing('destination headManifest v1', code));
        const report = await rig.mirror(wish, { options });
        assert.equal(recordOf(report, 'v1').fault?.code, code);
        assert.equal(rig.destination.count('destination putManifest v1'), 0);
      }
    });
  }

  for (const verifyTags of ['none', 'mutable'] as const) {
    it(`keeps a tag that would stay where it is seen, where it is not (${verifyTags})`, async () => {
      const rig = forbidding(image, true);
      rig.source.tag('v1.2.3', image);
      rig.destination.tag('v1.2.3', before);
      rig.destination.before.unshift(failing('destination headManifest v1.2.3', 'FORBIDDEN'));
      await rejection(rig.mirror({}, { options: { verifyTags } }), 'FORBIDDEN');
      // A batch or a continuation names it.
      const named = await rig.mirror({ tags: ['v1.2.3'] }, { options: { verifyTags } });
      assert.equal(recordOf(named, 'v1.2.3').fault?.code, 'FORBIDDEN');
      assert.equal(rig.destination.digestOf('v1.2.3'), before.manifest.digest);
    });
  }

  for (const verifyTags of ['none', 'mutable', 'all'] as const) {
    it(`is given a release that is named, which its list does not have (${verifyTags})`, async () => {
      const rig = forbidding(image);
      rig.source.tag('v1.2.3', image).tag('v1.2.4', image);
      const tags = ['v1.2.3', 'v1.2.4'];
      const report = await rig.mirror({ tags }, { options: { verifyTags } });
      assert.equal(report.counts.failed + report.unfinished.length, 0);
      assert.equal(rig.destination.digestOf('v1.2.3'), image.manifest.digest);
      const lists = rig.destination.count('destination listTags');
      assert.equal(lists, verifyTags === 'all' ? 0 : 1);
    });
  }

  it('is listed once for named tags that it hides, which fail as its list does', async () => {
    const rig = forbidding(image);
    rig.source.tag('v1.2.3', image).tag('v1.2.4', image);
    rig.destination.tag('v1.2.4', before);
    rig.destination.before.unshift(failing('destination listTags', 'SERVER_ERROR'));
    const report = await rig.mirror({ tags: ['v1.2.3', 'v1.2.4'] });
    assert.equal(recordOf(report, 'v1.2.3').fault?.code, 'SERVER_ERROR');
    assert.equal(recordOf(report, 'v1.2.4').outcome, 'overwritten');
    assert.equal(rig.destination.count('destination listTags'), 1);
  });

  it('is not given a named tag that is hidden and that its list has', async () => {
    const rig = forbidding(image);
    rig.source.tag('latest', image).tag('v1.2.3', image);
    rig.destination.tag('latest', before);
    rig.destination.before.unshift(failing('destination headManifest latest', 'FORBIDDEN'));
    const report = await rig.mirror({ tags: ['latest', 'v1.2.3'] });
    assert.equal(recordOf(report, 'latest').fault?.code, 'FORBIDDEN');
    assert.equal(recordOf(report, 'v1.2.3').outcome, 'copied');
    assert.equal(rig.destination.digestOf('latest'), before.manifest.digest);
  });

  it('does not fail for a signature whose image it does not have', async () => {
    const rig = forbidding(image);
    const gone = imageWith('gone', 1);
    const signature = `${referrersTag(gone.manifest.digest)}.sig`;
    rig.source.tag(signature, imageWith('signature', 1)).add(gone);
    rig.destination.tag('v1', image);
    const report = await rig.mirror({}, { options: { referrers: true } });
    assert.deepEqual([report.counts.failed, report.unfinished, report.leftAside], [0, [], 1]);
  });

  it('is given a platform that was added', async () => {
    const arm64 = imageWith('arm64', 1);
    const index = platformIndex([
      { image, platform: 'linux/amd64' },
      { image: arm64, platform: 'linux/arm64' },
    ]);
    const { source, destination } = forbidding(index);
    destination.sparseIndexes = 'taken';
    for (const platforms of [['linux/amd64'], ['linux/amd64', 'linux/arm64']]) {
      const rig = new Rig();
      rig.use(source, destination);
      const report = await rig.mirror(
        { reason: 'requested' },
        { options: { platforms: platformsOf(platforms) } },
      );
      assert.equal(report.counts.copied, 1);
    }
    assert.ok(destination.manifests.has(arm64.manifest.digest));
  });

  it('is not given a tag that its list has', async () => {
    const rig = forbidding(image);
    rig.source.tag('v0', image);
    rig.destination.before.unshift(failing('destination headManifest v0', 'FORBIDDEN'));
    const report = await rig.mirror({}, { options: { verifyTags: 'all' } });
    assert.equal(recordOf(report, 'v0').fault?.code, 'FORBIDDEN');
    assert.equal(rig.destination.digestOf('v0'), before.manifest.digest);
  });
});

describe('one failing tag', () => {
  it('lets the others go on', async () => {
    const rig = new Rig();
    for (let tag = 0; tag < 5; tag += 1) rig.source.tag(`v${tag}`, imageWith(`${tag}`, 1));
    rig.source.before.push(failing('source getManifest v2', 'SERVER_ERROR'));
    const report = await rig.mirror();
    assert.deepEqual([report.counts.copied, report.counts.failed], [4, 1]);
    assert.deepEqual(report.unfinished, ['v2']);
    assert.equal(report.interrupted, false);
  });
});

describe('an observer', () => {
  it('is told phases, records and bytes', async () => {
    const rig = new Rig({ v1: imageWith('v1', 2) });
    const told: string[] = [];
    let bytes = 0;
    await rig.mirror(
      {},
      {
        observer: {
          onPhase: ({ phase }) => told.push(phase),
          onRecord: ({ tag, outcome }) => told.push(`${tag} ${outcome}`),
          onBytes: (count) => {
            bytes += count;
          },
        },
      },
    );
    assert.deepEqual(told, ['list', 'plan', 'delegate', 'v1 copied', 'copy']);
    assert.equal(bytes, rig.destination.bytesReceived);
  });
});

describe('a destination of many manifests', () => {
  it('is completed by its tag list where its map is cut', async () => {
    const rig = new Rig();
    const layer = blobOf('layer');
    for (let tag = 0; tag < 50; tag += 1) {
      const index = indexOf(
        ['a', 'b', 'c'].map((platform) => imageOf(`${tag} ${platform}`, [layer])),
      );
      rig.source.tag(`v${tag}`, index);
      if (tag < 49) rig.destination.tag(`v${tag}`, index);
    }
    rig.destination.map = 10;
    rig.destination.tagDigests = true;
    const report = await rig.mirror();
    assert.equal(report.counts.skipped, 49);
    assert.equal(report.counts.copied, 1);
    assert.equal(rig.destination.count('destination listTagDigests'), 1);
    // Children that a cut map leaves out are looked for.
    assert.equal(rig.destination.count('destination headManifest'), 3);
  });
});

describe('events of one process', () => {
  it('send what they share once, and mount it elsewhere', async () => {
    const rig = new Rig();
    const host = new FakeHost();
    const destinations = ['one', 'two', 'three'].map(
      (name) => new FakeDestination(`p/r/${name}`, 'europe-docker.pkg.dev', host),
    );
    const base = blobOf('base', 500_000);
    const reports = await Promise.all(
      destinations.map((destination, index) => {
        const source = new FakeSource(`ghcr.io/org/${index}`);
        source.tag('v1', imageOf(`image ${index}`, [base, blobOf(`own ${index}`, 1000)]));
        return rig.mirror({}, { source, destination });
      }),
    );
    for (const report of reports) assert.deepEqual(outcomes(report), { v1: 'copied' });
    const received = destinations.reduce((sum, { bytesReceived }) => sum + bytesReceived, 0);
    assert.equal(received, 500_000 + 3 * (1000 + 64));
    assert.equal(
      reports.reduce((sum, { blobsMounted }) => sum + blobsMounted, 0),
      2,
    );
  });

  it('go on with a transfer whose first event was interrupted', async () => {
    const image = imageWith('image', 1, 500_000);
    const rig = new Rig({ v1: image });
    const end = new AbortController();
    const open = rig.source.hold('source openBlob');
    const first = rig.mirror({}, { signal: end.signal });
    await open.reached;
    const second = rig.mirror();
    await new Promise((resolve) => setTimeout(resolve, 20));
    end.abort();
    assert.equal((await first).interrupted, true);
    open.release();
    assert.deepEqual(outcomes(await second), { v1: 'copied' });
    assert.equal(rig.source.count('source openBlob'), 2);
  });
});

describe('events of several processes', () => {
  it('end with the same destination', async () => {
    const rigs = [new Rig(), new Rig()];
    const [one, two] = rigs as [Rig, Rig];
    two.use(one.source, one.destination);
    for (let tag = 0; tag < 10; tag += 1) one.source.tag(`v${tag}`, imageWith(`${tag}`, 2));
    const reports = await Promise.all(rigs.map((rig) => rig.mirror()));
    for (const report of reports) assert.equal(report.counts.failed, 0);
    for (const [tag, { digest }] of one.source.tags) {
      assert.equal(one.destination.digestOf(tag), digest);
    }
  });
});

describe('tags that were found to have moved', () => {
  /** Neither tag is verified: the source's list tells that they moved. */
  function moving(layerBytes?: number): Rig {
    const rig = new Rig();
    rig.source.tellsDigests = true;
    for (const tag of ['v1.0.0', 'v1.0.1', 'v1.0.2']) {
      rig.source.tag(tag, imageWith(`new ${tag}`, 1, layerBytes));
      rig.destination.tag(tag, imageWith(`old ${tag}`, 1));
    }
    return rig;
  }

  it('are moved by a continuation', async () => {
    const rig = moving();
    rig.destination.before.push(failing('destination putManifest v1.0.0', 'SERVER_ERROR', 1));
    const first = await rig.mirror();
    assert.deepEqual([first.unfinished, first.progressed], [['v1.0.0'], true]);
    const second = await rig.mirror({ tags: first.unfinished });
    assert.deepEqual(outcomes(second), { 'v1.0.0': 'overwritten' });
    assert.equal(recordOf(second, 'v1.0.0').reason, 'Moved');
  });

  it('are moved by the batches of a fan-out', async () => {
    const rig = moving();
    const fannedOut = await rig.mirror({}, offloading({ jobThresholdBytes: -1, batchTags: 1 }));
    assert.equal(fannedOut.delegated.length, 2);
    const report = await rig.mirror({ tags: fannedOut.delegated });
    assert.deepEqual(Object.values(outcomes(report)), ['overwritten', 'overwritten']);
  });

  it('are moved by the job that a blob was handed off to', async () => {
    const rig = moving(4_000_000);
    rig.slowLink(1000);
    const limits = { jobThresholdBytes: 1e12, batchTags: 100 };
    const cut = await rig.mirror({}, { ...rig.delivery(540_000), ...offloading(limits) });
    assert.ok(cut.handedOff.length > 0);
    const job = await rig.mirror({ tags: cut.handedOff });
    assert.deepEqual(new Set(Object.values(outcomes(job))), new Set(['overwritten']));
  });

  it('are left as they are where the event itself says that nothing is verified', async () => {
    const report = await moving().mirror({ tags: ['v1.0.0'], verify: 'none' });
    assert.deepEqual(outcomes(report), { 'v1.0.0': 'skipped' });
  });
});

describe('a delivery that has time for questions only', () => {
  /**
   * Delivers a request and what goes on from it, as the subscriber does; each delivery ends at its
   * `most`th question that begins so. @returns all decisions
   */
  async function deliverAll(
    rig: Rig,
    prefix: string,
    most: number,
    options: Partial<MirrorOptions> = {},
  ): Promise<readonly string[]> {
    const words: string[] = [];
    const open: MirrorEvent[] = [sampleEvent({ reason: 'requested' })];
    for (let event = open.shift(); event !== undefined; event = open.shift()) {
      assert.ok(words.length < 50, 'it ends');
      const end = new AbortController();
      let asked = 0;
      rig.source.before.splice(0);
      rig.source.before.push((call) => {
        if (call.startsWith(prefix) && ++asked === most) {
          end.abort(new MirrorError('DEADLINE_EXCEEDED', 'the test says so'));
        }
      });
      const report = await rig.mirror(event.data, { signal: end.signal, options });
      const decision = decideAfterWork(event, report, true);
      words.push(`${decision.action} ${decision.reason}`);
      if (decision.action === 'continue') open.push(...continuationsOf(event, decision.tags, 100));
    }
    return words;
  }

  it('goes on by name with what it has not verified, and copies what is missing', async () => {
    const rig = new Rig();
    const image = imageWith('same', 1);
    for (let n = 0; n < 200; n += 1) {
      rig.source.tag(`v1.${n}.0`, image);
      rig.destination.tag(`v1.${n}.0`, image);
    }
    rig.destination.map = 'none';
    rig.source.tag('v9.0.0', imageWith('fresh', 1)).tag('v1.150.0', imageWith('moved', 1));
    // Named after a digest: which of these are selected is found out before the questions.
    const signature = `sha256-${image.manifest.digest.slice(7)}.sig`;
    rig.source.tag(signature, imageWith('signature', 1));
    const options = { referrers: true };
    const decisions = await deliverAll(rig, 'source headManifest', 100, options);
    assert.deepEqual(decisions.slice(0, 1), ['continue DeadlinePassed']);
    assert.deepEqual(
      decisions.filter((words) => !/^(continue DeadlinePassed|acknowledge Finished)$/.test(words)),
      [],
    );
    for (const [tag, { digest }] of rig.source.tags) {
      assert.equal(rig.destination.digestOf(tag), digest, tag);
    }
  });

  it('goes on by name with the subjects whose referrers it has not asked for', async () => {
    const rig = new Rig();
    rig.source.referrersApi = true;
    rig.source.tellsDigests = true;
    const digests: string[] = [];
    for (let n = 0; n < 60; n += 1) {
      const image = imageWith(`image ${n}`, 1);
      digests.push(image.manifest.digest);
      rig.source.tag(`v1.${n}.0`, image);
      rig.destination.tag(`v1.${n}.0`, image);
    }
    const decisions = await deliverAll(rig, 'source listReferrers', 40, { referrers: true });
    assert.deepEqual(decisions, ['continue DeadlinePassed', 'acknowledge Finished']);
    for (const digest of digests) {
      assert.ok(rig.source.calls.includes(`source listReferrers ${digest}`), digest);
    }
  });

  it('does not go on where nothing answers', async () => {
    const rig = new Rig({ v1: imageWith('app', 1) });
    rig.destination.tag('v1', imageWith('app', 1)).map = 'none';
    const end = new AbortController();
    rig.source.before.push((call) => {
      if (!call.startsWith('source headManifest')) return;
      end.abort(new MirrorError('DEADLINE_EXCEEDED', 'the test says so'));
      throw end.signal.reason;
    });
    const report = await rig.mirror({ reason: 'requested' }, { signal: end.signal });
    assert.deepEqual([report.unfinished, report.interrupted, report.answered], [['v1'], true, 0]);
  });
});
