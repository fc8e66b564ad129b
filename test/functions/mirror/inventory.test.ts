import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  listForNamed,
  listSource,
  takeDestination,
  unlistedSource,
  withTagDigests,
  withTagFacts,
} from '../../../functions/mirror/inventory.ts';
import type { DestinationFact } from '../../../functions/mirror/plan.ts';
import { NEVER as never } from '../../faults.ts';
import { FakeDestination, FakeSource } from './fakes.ts';
import { imageWith } from './images.ts';

const one = imageWith('one', 1);
const two = imageWith('two', 1);

/** A destination that answers its list with 404. */
function absent(google: boolean): FakeDestination {
  return Object.assign(new FakeDestination(), {
    google,
    listTags: () => Promise.resolve(undefined),
  });
}

describe('takeDestination', () => {
  it('knows from a complete map what is there and what is not', async () => {
    const destination = new FakeDestination().tag('v1', one).add(two);
    destination.uploadedAtMs.set(one.manifest.digest, 42);
    const inventory = await takeDestination(destination, undefined, never);
    assert.equal(inventory.kind, 'map');
    assert.equal(inventory.tagCount, 1);
    assert.deepEqual(inventory.factOf('v1'), { state: 'present', digest: one.manifest.digest });
    assert.deepEqual(inventory.factOf('v2'), { state: 'absent' });
    assert.equal(inventory.hasManifest(two.manifest.digest), true);
    assert.equal(inventory.hasManifest('sha256:other'), false);
    assert.equal(inventory.uploadedAtMs(one.manifest.digest), 42);
  });

  it('takes a tag for present that is listed, although a complete map does not tell its digest', async () => {
    const map = { digestOfTag: new Map(), manifests: new Map(), complete: true };
    const destination = Object.assign(new FakeDestination(), {
      listTags: () => Promise.resolve({ tags: ['v1'], invalidTags: [], map }),
    });
    const inventory = await takeDestination(destination, undefined, never);
    assert.deepEqual(inventory.factOf('v1'), { state: 'present' });
    assert.deepEqual(inventory.factOf('v2'), { state: 'absent' });
  });

  it('believes the presences of a cut map and asks about its absences', async () => {
    const destination = new FakeDestination().tag('v1', one).tag('v2', two);
    destination.map = 1;
    const inventory = await takeDestination(destination, undefined, never);
    assert.equal(inventory.kind, 'partial');
    assert.deepEqual(inventory.factOf('v1'), { state: 'present', digest: one.manifest.digest });
    assert.deepEqual(inventory.factOf('v2'), { state: 'unknown' });
    assert.equal(inventory.hasManifest(one.manifest.digest), true);
    assert.equal(inventory.hasManifest(two.manifest.digest), undefined);
    const completed = withTagDigests(inventory, new Map([['v2', two.manifest.digest]]));
    assert.deepEqual(completed.factOf('v2'), { state: 'present', digest: two.manifest.digest });
    assert.deepEqual(completed.factOf('v3'), { state: 'absent' });
    assert.equal(completed.hasManifest(two.manifest.digest), true);
    assert.equal(completed.hasManifest('sha256:other'), undefined);
  });

  it('knows names only of a plain registry', async () => {
    const destination = new FakeDestination().tag('v1', one);
    destination.map = 'none';
    const inventory = await takeDestination(destination, undefined, never);
    assert.equal(inventory.kind, 'names');
    assert.deepEqual(inventory.factOf('v1'), { state: 'present' });
    assert.deepEqual(inventory.factOf('v2'), { state: 'absent' });
    assert.equal(inventory.hasManifest(one.manifest.digest), undefined);
    assert.equal(inventory.uploadedAtMs(one.manifest.digest), undefined);
  });

  it('takes a 404 of a Google host for a complete empty map', async () => {
    const inventory = await takeDestination(absent(true), undefined, never);
    assert.deepEqual(inventory.factOf('v1'), { state: 'absent' });
    assert.equal(inventory.hasManifest(one.manifest.digest), false);
  });

  it('learns nothing about manifests from the 404 of another host', async () => {
    const inventory = await takeDestination(absent(false), undefined, never);
    assert.deepEqual(inventory.factOf('v1'), { state: 'absent' });
    assert.equal(inventory.hasManifest(one.manifest.digest), undefined);
  });

  it('leaves up to 10 requested tags to be asked one by one', async () => {
    const destination = new FakeDestination().tag('v1', one);
    const tags = Array.from({ length: 10 }, (_none, index) => `v${index}`);
    const inventory = await takeDestination(destination, tags, never);
    assert.deepEqual([inventory.kind, inventory.tagCount], ['heads', 0]);
    assert.deepEqual(destination.calls, []);
    assert.deepEqual(inventory.factOf('v1'), { state: 'unknown' });
    assert.equal(inventory.hasManifest(one.manifest.digest), undefined);
    assert.equal(inventory.uploadedAtMs(one.manifest.digest), undefined);
    const there = { state: 'present', digest: one.manifest.digest } as const;
    const facts = new Map<string, DestinationFact>([['v1', there]]).set('v2', { state: 'absent' });
    const asked = withTagFacts(inventory, facts);
    assert.equal(asked.tagCount, 1);
    assert.deepEqual(
      ['v1', 'v2', 'v3'].map((tag) => asked.factOf(tag)),
      [there, { state: 'absent' }, { state: 'unknown' }],
    );
  });

  it('lists where 11 tags are requested', async () => {
    const destination = new FakeDestination().tag('v1', one);
    const tags = Array.from({ length: 11 }, (_none, index) => `t${index}`);
    assert.equal((await takeDestination(destination, tags, never)).kind, 'map');
    assert.deepEqual(destination.calls, ['destination listTags']);
  });
});

describe('lists for tags that are asked for by name', () => {
  const named = Array.from({ length: 11 }, (_none, index) => `t${index}`);

  it('are given up at the destination where they are long, and the tags left to be asked one by one', async () => {
    const destination = new FakeDestination().tag('t1', one).tag('other', two);
    destination.listIsLong = true;
    const inventory = await takeDestination(destination, named, never);
    assert.deepEqual([inventory.kind, inventory.whyUnlisted?.code], ['heads', 'LIST_TOO_LARGE']);
    assert.deepEqual(inventory.factOf('t1'), { state: 'unknown' });
    assert.equal((await takeDestination(destination, undefined, never)).kind, 'map');
  });

  it('keep of the source these tags, those named after digests, and one more', async () => {
    const source = new FakeSource();
    const signature = `${one.manifest.digest.replace(':', '-')}.sig`;
    for (const tag of ['a', 'b', 't1', 't2', signature]) source.tag(tag, one);
    source.invalidTags.push('no tag');
    source.tellsDigests = true;
    const inventory = await listForNamed(source, named, undefined, never);
    assert.deepEqual([...inventory.tags].sort(), ['a', signature, 't1', 't2'].sort());
    assert.deepEqual([inventory.tagCount, inventory.invalidTags], [6, []]);
    assert.deepEqual(inventory.factOf('t1'), { state: 'listed', digest: one.manifest.digest });
    assert.deepEqual(inventory.factOf('t9'), { state: 'listed' });
    assert.equal(inventory.hasManifest(two.manifest.digest), undefined);
  });
});

describe('listSource', () => {
  it('knows names, and digests where the list tells them', async () => {
    const source = new FakeSource().tag('v1', one);
    const plain = await listSource(source, never);
    assert.ok(plain);
    assert.equal(plain.tagCount, 1);
    assert.deepEqual(plain.factOf('v1'), { state: 'listed' });
    assert.deepEqual(plain.factOf('v2'), { state: 'gone' });
    source.tellsDigests = true;
    const told = await listSource(source, never);
    assert.ok(told);
    assert.deepEqual(told.factOf('v1'), { state: 'listed', digest: one.manifest.digest });
  });

  it('is nothing where the repository is not there', async () => {
    const source = new FakeSource();
    source.missing = true;
    assert.equal(await listSource(source, never), undefined);
  });
});

describe('unlistedSource', () => {
  it('takes requested tags for listed', () => {
    const inventory = unlistedSource(['v1']);
    assert.equal(inventory.listed, false);
    assert.deepEqual(inventory.factOf('v1'), { state: 'listed' });
  });
});
