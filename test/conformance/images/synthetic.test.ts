import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { putSyntheticImage, syntheticLayer } from '../../stand-ins/images/synthetic.ts';
import { bytesOf } from '../../stand-ins/registry/content.ts';
import { digestOf } from '../../stand-ins/registry/digest.ts';
import { verifyRepository } from '../../stand-ins/verifier/verifier.ts';
import { start } from '../registry/loopback.ts';

describe('synthetic layer', () => {
  for (const sizeBytes of [1, 61_440, 300_000, 1_000_000]) {
    it(`of ${sizeBytes} bytes is a gzip stream of an archive, from any offset`, () => {
      const { content, digest, diffId } = syntheticLayer('seed', sizeBytes);
      const whole = bytesOf(content);
      assert.equal(whole.length, content.sizeBytes);
      assert.ok(Math.abs(whole.length - sizeBytes) < 2100 + sizeBytes / 1000);
      assert.equal(digestOf(whole), digest);
      const archive = gunzipSync(whole);
      assert.equal(digestOf(archive), diffId);
      assert.equal(archive.toString('latin1', 257, 262), 'ustar');
      const points = [
        0,
        1,
        9,
        10,
        11,
        15,
        16,
        61_454,
        61_455,
        61_456,
        whole.length - 9,
        whole.length - 8,
        whole.length,
      ];
      for (const start of points) {
        for (const end of points.filter((point) => point >= start && point <= whole.length)) {
          const part = Buffer.concat([...content.read(start, end)]);
          assert.ok(part.equals(whole.subarray(start, end)), `${start}-${end}`);
        }
      }
    });
  }
});

describe('synthetic image', () => {
  it('is pulled like any other', async (t) => {
    const registry = await start(t);
    const layers = ['a', 'b'].map((seed) => syntheticLayer(seed, 200_000));
    const manifest = putSyntheticImage(registry.store, 'big/app', 'v1', layers);
    const report = await verifyRepository({ url: registry.url, repository: 'big/app' });
    assert.deepEqual(report.problems, []);
    assert.equal(report.tags[0]?.digest, manifest.digest);
    assert.equal(report.blobs, 3);
  });
});
