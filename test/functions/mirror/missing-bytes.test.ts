import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { CopyContext } from '../../../functions/mirror/copy-manifest.ts';
import { NO_DEADLINE } from '../../../functions/mirror/deadline.ts';
import { DestinationManifests } from '../../../functions/mirror/destination-manifests.ts';
import { takeDestination } from '../../../functions/mirror/inventory.ts';
import { missingBytes } from '../../../functions/mirror/missing-bytes.ts';
import { SourceManifests } from '../../../functions/mirror/source-manifests.ts';
import { NEVER as never } from '../../faults.ts';
import { failing, FakeDestination } from './fakes.ts';
import { blobOf, imageOf, imageWith, indexOf, type Image } from './images.ts';
import { Rig } from './rig.ts';

const MIB = 1024 * 1024;

async function contextOf(rig: Rig): Promise<CopyContext> {
  const { source, destination, pool, presence, clock } = rig;
  const inventory = await takeDestination(destination, undefined, never);
  return {
    source,
    destination,
    pool,
    read: new SourceManifests(source, clock),
    there: new DestinationManifests(destination, inventory, presence),
    deadline: NO_DEADLINE,
    tagTurns: rig.tagTurns,
    clock,
    onDrift: 'overwrite',
    listedAtMs: 0,
    mayMoveUnseen: true,
    looksBeforeEveryPush: false,
    event: rig,
    signal: never,
    onBytes: () => undefined,
  };
}

async function missing(rig: Rig, thresholdBytes = Number.MAX_SAFE_INTEGER): Promise<number> {
  return missingBytes([...rig.source.tags.keys()], thresholdBytes, await contextOf(rig), 4);
}

/** An image below so many indexes. */
function nested(levels: number, image: Image): Image {
  return levels === 0 ? image : indexOf([nested(levels - 1, image)]);
}

describe('missingBytes', () => {
  it('adds up distinct bytes over tags and platforms', async () => {
    const base = blobOf('base', 1000);
    const rig = new Rig({
      v1: imageOf('v1', [base, blobOf('a', 100)]),
      v2: indexOf([imageOf('amd64', [base, blobOf('b', 10)]), imageOf('arm64', [base])]),
      'too deep': nested(5, imageOf('deepest', [blobOf('deepest', 1)])),
    });
    assert.equal(await missing(rig), 1000 + 100 + 10 + 3 * 64);
  });

  it('counts nothing between repositories that a mount has connected', async () => {
    const rig = new Rig({ v1: imageWith('v1', 1, 1000) });
    assert.notEqual(await missing(rig), 0);
    rig.presence.setMounts(rig.source, rig.destination, true);
    assert.equal(await missing(rig), 0);
    rig.presence.setMounts(rig.source, rig.destination, false);
    assert.notEqual(await missing(rig), 0);
  });

  it('leaves out what is known to be there', async () => {
    const rig = new Rig();
    const [whole, child] = [imageWith('whole', 1, 1000), imageWith('child', 1, 1000)];
    const [known, mountable] = [blobOf('known', 1000), blobOf('mountable', 1000)];
    rig.destination.tag('v0', whole).add(child);
    rig.presence.addBlob(rig.destination, known.descriptor.digest);
    const neighbour = new FakeDestination('p/r/other', rig.destination.host);
    rig.presence.addBlob(neighbour, mountable.descriptor.digest);
    rig.source
      .tag('v1', whole)
      .tag('v2', indexOf([child]))
      .tag('v3', imageOf('v3', [known, mountable]));
    assert.equal(await missing(rig), 64);
  });

  it('looks large blobs up, the largest first, until the rest is below the threshold', async () => {
    const layers = [8, 16, 4, 1].map((size) => blobOf(`layer of ${size}`, size * MIB));
    const rig = new Rig({ v1: imageOf('v1', layers) });
    rig.destination.add(imageOf('older', [layers[1]!]));
    const bytes = await missing(rig, 14 * MIB);
    assert.equal(bytes, 13 * MIB + 64);
    const largest = layers[1]!.descriptor.digest;
    assert.equal(rig.destination.calls[1], `destination hasBlob ${largest}`);
    assert.ok(rig.presence.hasBlob(rig.destination, largest));
  });

  it('looks up blobs of 4 MiB, and none of less', async () => {
    const layers = [4 * MIB, 4 * MIB - 1].map((size) => blobOf(`layer of ${size}`, size));
    const rig = new Rig({ v1: imageOf('v1', layers) });
    rig.destination.add(imageOf('older', layers));
    assert.equal(await missing(rig, 1), 4 * MIB - 1 + 64);
    assert.equal(rig.destination.count('destination hasBlob'), 1);
    const failed = new Rig({ v1: imageOf('v1', layers) });
    failed.destination.add(imageOf('older', layers));
    failed.destination.before.push(failing('destination hasBlob', 'NETWORK'));
    assert.equal(await missing(failed, 1), 8 * MIB - 1 + 64);
  });

  it('asks nothing where the bytes do not exceed the threshold', async () => {
    const rig = new Rig({ v1: imageWith('v1', 2, 4 * MIB) });
    await missing(rig, 8 * MIB + 64);
    assert.equal(rig.destination.count('destination hasBlob'), 0);
  });

  it('takes a third of a delivery at most', async () => {
    const rig = new Rig();
    for (let tag = 0; tag < 100; tag += 1) {
      const children = ['a', 'b', 'c', 'd'].map((name) => imageWith(`v${tag} ${name}`, 1));
      rig.source.tag(`v${tag}`, indexOf(children));
    }
    let nowMs = 0;
    rig.source.before.push((call) => {
      if (call.startsWith('source getManifest')) nowMs += 1000;
    });
    const context: CopyContext = {
      ...(await contextOf(rig)),
      clock: () => nowMs,
      deadline: { ...NO_DEADLINE, earlyUntilMs: 100_000 },
    };
    await missingBytes([...rig.source.tags.keys()], 1, context, 4);
    const read = rig.source.count('source getManifest');
    // Those under way: of four tags two children each.
    assert.ok(read >= 100 && read <= 100 + 4 * 2, `${read} manifests were read`);
    const rest = rig.source.calls.length;
    nowMs = context.deadline.earlyUntilMs;
    await missingBytes([...rig.source.tags.keys()], 1, context, 4);
    assert.equal(rig.source.calls.length, rest);
  });

  it('counts nothing for what cannot be read', async () => {
    const rig = new Rig({
      v1: imageWith('v1', 1, 1000),
      v2: imageWith('v2', 1, 1000),
      v3: indexOf([imageWith('lost', 1)]),
    });
    rig.source.manifests.delete(imageWith('lost', 1).manifest.digest);
    rig.source.before.push(failing('source getManifest v2', 'NETWORK'));
    assert.equal(await missing(rig), 1064);
  });
});
