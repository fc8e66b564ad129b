import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { partsOf } from '../../stand-ins/verifier/manifest-parts.ts';

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip';

function parts(document: object): readonly [readonly string[], readonly string[]] {
  const { manifests, blobs } = partsOf(Buffer.from(JSON.stringify(document)));
  return [manifests.map(({ digest }) => digest), blobs.map(({ digest }) => digest)];
}

describe('manifest parts', () => {
  const cases: readonly (readonly [string, object, readonly string[], readonly string[]])[] = [
    [
      'config and layers',
      { config: { digest: 'c' }, layers: [{ digest: 'l', mediaType: LAYER }] },
      [],
      ['c', 'l'],
    ],
    ['children', { manifests: [{ digest: 'm', mediaType: MANIFEST }] }, ['m'], []],
    ['blobs of an index', { manifests: [{ digest: 'b', mediaType: LAYER }] }, [], ['b']],
    ['schema 1', { fsLayers: [{ blobSum: 'l' }] }, [], ['l']],
    [
      'no foreign layers',
      { config: { digest: 'c' }, layers: [{ digest: 'f', mediaType: 'x.foreign.y' }] },
      [],
      ['c'],
    ],
    ['nothing', {}, [], []],
  ];
  for (const [name, document, manifests, blobs] of cases) {
    it(`are ${name}`, () => {
      assert.deepEqual(parts(document), [manifests, blobs]);
    });
  }

  it('are none of what is no JSON', () => {
    assert.throws(() => partsOf(Buffer.from('{')), SyntaxError);
  });
});
