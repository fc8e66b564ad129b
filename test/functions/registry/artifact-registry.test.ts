import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import { manifestMap } from '../../../functions/registry/artifact-registry.ts';

const ONE = `sha256:${'1'.repeat(64)}`;
const TWO = `sha256:${'2'.repeat(64)}`;
const ENTRY = {
  imageSizeBytes: '10',
  layerId: '',
  mediaType: 'm',
  tag: ['v1', 'latest'],
  timeUploadedMs: '1700000000000',
};

describe('manifest map', () => {
  it('gives the digest of each tag, and what is untagged', () => {
    const map = manifestMap({ manifest: { [ONE]: ENTRY, [TWO]: { tag: [] } } }, 2, false);
    assert.deepEqual(
      [...(map?.digestOfTag ?? [])],
      [
        ['v1', ONE],
        ['latest', ONE],
      ],
    );
    assert.deepEqual(
      [...(map?.manifests ?? [])],
      [
        [ONE, 1_700_000_000_000],
        [TWO, undefined],
      ],
    );
    assert.equal(map?.complete, true);
  });

  it('reads a time as text or number, and none that is no time', () => {
    for (const [timeUploadedMs, expected] of [
      ['7', 7],
      [7, 7],
      [1, 1],
      ['0', undefined],
      [-1, undefined],
      [1.5, undefined],
      ['1'.repeat(16), undefined],
      [null, undefined],
    ] as const) {
      const map = manifestMap({ manifest: { [ONE]: { timeUploadedMs } } }, 0, false);
      assert.equal(map?.manifests.get(ONE), expected, JSON.stringify(timeUploadedMs));
    }
  });

  it('is incomplete from 10,000 tags and manifests on, and with a next page', () => {
    const manifest = { [ONE]: ENTRY };
    assert.equal(manifestMap({ manifest }, 9_998, false)?.complete, true);
    assert.equal(manifestMap({ manifest }, 9_999, false)?.complete, false);
    assert.equal(manifestMap({ manifest }, 1, true)?.complete, false);
  });

  it('is recognised by its content', () => {
    const none: readonly unknown[] = [
      undefined,
      null,
      [],
      'x',
      { latest: {} },
      { [ONE]: 'x' },
      { [ONE]: { tag: 'v1' } },
    ];
    for (const manifest of none) assert.equal(manifestMap({ manifest }, 0, false), undefined);
    assert.equal(manifestMap({ manifest: {} }, 0, false)?.complete, true);
  });

  it('takes no tag that breaks the grammar', () => {
    const map = manifestMap({ manifest: { [ONE]: { tag: ['../x', 7, 'ok'] } } }, 1, false);
    assert.deepEqual([...(map?.digestOfTag.keys() ?? [])], ['ok']);
  });

  it('never throws', () => {
    fc.assert(
      fc.property(
        fc.jsonValue(),
        fc.dictionary(fc.constantFrom(ONE, TWO, 'x'), fc.jsonValue()),
        (any, map) => {
          manifestMap({ manifest: any }, 0, false);
          manifestMap({ manifest: map }, 0, false);
        },
      ),
    );
  });
});
