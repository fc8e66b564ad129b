import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { DestinationManifests } from '../../../functions/mirror/destination-manifests.ts';
import { takeDestination } from '../../../functions/mirror/inventory.ts';
import { PresenceCache } from '../../../functions/mirror/presence-cache.ts';
import { failing, FakeDestination } from './fakes.ts';
import { imageWith } from './images.ts';
import { NEVER as never, rejection } from '../../faults.ts';

const one = imageWith('one', 1);
const two = imageWith('two', 1);
const { digest } = one.manifest;

async function manifests(
  destination: FakeDestination,
  presence = new PresenceCache(() => 0),
): Promise<DestinationManifests> {
  const inventory = await takeDestination(destination, undefined, never);
  return new DestinationManifests(destination, inventory, presence);
}

describe('DestinationManifests', () => {
  it('asks nothing where a complete map answers', async () => {
    const destination = new FakeDestination().tag('v1', one);
    const there = await manifests(destination);
    assert.equal(await there.has(digest, never), true);
    assert.equal(await there.has(two.manifest.digest, never), false);
    assert.equal(destination.count('destination headManifest'), 0);
  });

  it('asks once where no map answers, also for many at a time', async () => {
    const destination = new FakeDestination().tag('v1', one);
    destination.map = 'none';
    const there = await manifests(destination);
    assert.deepEqual(await Promise.all([there.has(digest, never), there.has(digest, never)]), [
      true,
      true,
    ]);
    assert.equal(await there.has(two.manifest.digest, never), false);
    assert.equal(await there.has(two.manifest.digest, never), false);
    assert.equal(destination.count('destination headManifest'), 2);
    assert.equal(there.isKnown(digest), true);
  });

  it('asks again when the question failed', async () => {
    const destination = new FakeDestination().tag('v1', one);
    destination.map = 'none';
    destination.before.push(failing('destination headManifest', 'NETWORK', 1));
    const there = await manifests(destination);
    await rejection(there.has(digest, never), 'NETWORK');
    assert.equal(await there.has(digest, never), true);
  });

  it('takes a 403 for not known to be there before a push, and no other refusal', async () => {
    const destination = new FakeDestination().tag('v1', one);
    destination.map = 'none';
    destination.before.push(failing('destination headManifest', 'UNAUTHORIZED', 1));
    destination.before.push(failing('destination headManifest', 'FORBIDDEN'));
    const there = await manifests(destination);
    await rejection(there.isSeen(digest, never), 'UNAUTHORIZED');
    assert.equal(await there.isSeen(digest, never), false);
    await rejection(there.has(digest, never), 'FORBIDDEN');
  });

  it('tells the whole process what was pushed', async () => {
    const presence = new PresenceCache(() => 0);
    const destination = new FakeDestination();
    destination.map = 'none';
    (await manifests(destination, presence)).add(digest);
    const another = await manifests(destination, presence);
    assert.equal(another.isKnown(digest), true);
  });

  it('asks again, or believes the map, where what was pushed is long ago', async () => {
    for (const isMapped of [true, false]) {
      let nowMs = 0;
      const destination = new FakeDestination();
      if (isMapped) destination.tag('v1', one);
      else destination.plain();
      const there = await manifests(destination, new PresenceCache(() => nowMs));
      if (isMapped) there.forget(digest);
      assert.equal(await there.has(digest, never), false);
      destination.tag('v1', one);
      there.add(digest);
      nowMs = 15 * 60_000;
      assert.equal(await there.has(digest, never), true);
    }
  });

  it('does not believe the map about what proved to be missing', async () => {
    const there = await manifests(new FakeDestination().tag('v1', one));
    there.forget(digest);
    assert.equal(there.isKnown(digest), false);
    assert.equal(await there.has(digest, never), false);
    there.add(digest);
    assert.equal(await there.has(digest, never), true);
  });
});
