import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { SourceManifests } from '../../../functions/mirror/source-manifests.ts';
import { failing, FakeSource } from './fakes.ts';
import { descriptorOf, imageWith, writtenImage } from './images.ts';
import { NEVER as never, rejection } from '../../faults.ts';

const image = imageWith('image', 1);
const child = descriptorOf(image.manifest);

describe('SourceManifests', () => {
  it('reads a tag anew each time, unless it was read ahead', async () => {
    const source = new FakeSource().tag('v1', image);
    let nowMs = 7;
    const read = new SourceManifests(source, () => nowMs);
    await read.readAhead('v1', never);
    nowMs = 9;
    assert.equal((await read.takeTag('v1', never))?.readAtMs, 7);
    assert.equal(source.count('source getManifest'), 1);
    assert.equal((await read.takeTag('v1', never))?.readAtMs, 9);
    assert.equal(source.count('source getManifest'), 2);
    assert.equal(await read.takeTag('v2', never), undefined);
    assert.equal(await read.readAhead('v2', never), undefined);
  });

  it('reads a child once while it is needed', async () => {
    const source = new FakeSource().add(image);
    const read = new SourceManifests(source, () => 0);
    await Promise.all([read.child(child, never), read.child(child, never)]);
    assert.equal(source.count('source getManifest'), 1);
    await read.release(child.digest);
    await read.release(child.digest);
    await read.child(child, never);
    assert.equal(source.count('source getManifest'), 2);
  });

  it('reads a child again that could not be read', async () => {
    const source = new FakeSource().add(image);
    source.before.push(failing('source getManifest', 'NETWORK', 1));
    const read = new SourceManifests(source, () => 0);
    await rejection(read.child(child, never), 'NETWORK');
    assert.equal((await read.child(child, never)).digest, child.digest);
  });

  it('names a child that is not there', async () => {
    const read = new SourceManifests(new FakeSource(), () => 0);
    await rejection(read.child(child, never), 'SOURCE_INCOMPLETE');
  });

  it('takes the bytes that the index embeds where the registry lacks the child', async () => {
    const { bytes } = image.manifest;
    const embedded = { ...child, data: bytes.toString('base64') };
    const read = new SourceManifests(new FakeSource(), () => 0);
    const node = await read.child(embedded, never);
    assert.deepEqual([node.digest, node.bytes.bytes], [child.digest, bytes]);
    const wrong = { ...embedded, data: Buffer.from('other').toString('base64') };
    const again = new SourceManifests(new FakeSource(), () => 0);
    await rejection(again.child(wrong, never), 'SOURCE_INCOMPLETE');
  });

  it('refuses what is no manifest', async () => {
    const source = new FakeSource().tag('v1', writtenImage({}));
    const read = new SourceManifests(source, () => 0);
    await rejection(read.takeTag('v1', never), 'MANIFEST_INVALID');
  });

  it('keeps at most 32 MiB', async () => {
    const source = new FakeSource();
    const padding = 'x'.repeat(3 * 1024 * 1024);
    for (let tag = 0; tag < 12; tag += 1) {
      const fields = JSON.parse(image.manifest.bytes.toString()) as object;
      source.tag(`v${tag}`, writtenImage({ ...fields, annotations: { tag, padding } }));
    }
    const read = new SourceManifests(source, () => 0);
    for (const tag of source.tags.keys()) await read.readAhead(tag, never);
    source.add(image);
    for (const twice of [1, 2]) {
      await read.child(child, never);
      assert.equal(source.count(`source getManifest ${child.digest}`), twice);
    }
    for (const tag of source.tags.keys()) await read.takeTag(tag, never);
    // Eleven of 3 MiB pass 32 MiB; the twelfth is read again.
    assert.equal(source.count('source getManifest v'), 13);
  });
});
