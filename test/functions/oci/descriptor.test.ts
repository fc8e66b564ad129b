import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { embeddedBytes, UNKNOWN_SIZE } from '../../../functions/oci/descriptor.ts';
import { digestOf } from '../../../functions/oci/digest.ts';
import { blobsOf, parseManifest } from '../../../functions/oci/manifest.ts';
import { DOCKER_SCHEMA1 } from '../../../functions/oci/media-types.ts';

describe('descriptor', () => {
  it('marks the size that a manifest does not tell', () => {
    const document = { schemaVersion: 1, fsLayers: [{ blobSum: digestOf(Buffer.from('layer')) }] };
    const [layer] = blobsOf(parseManifest(Buffer.from(JSON.stringify(document)), DOCKER_SCHEMA1));
    assert.equal(layer?.sizeBytes, UNKNOWN_SIZE);
  });

  it('gives embedded content only where size and digest are those of the descriptor', () => {
    const bytes = Buffer.from('{}');
    const empty = { mediaType: 'a/b', digest: digestOf(bytes), sizeBytes: 2, data: 'e30=' };
    assert.deepEqual(embeddedBytes(empty), bytes);
    assert.deepEqual(embeddedBytes({ ...empty, sizeBytes: UNKNOWN_SIZE }), bytes);
    assert.equal(embeddedBytes({ ...empty, sizeBytes: UNKNOWN_SIZE, data: 'eyB9' }), undefined);
    assert.equal(embeddedBytes({ ...empty, data: 'e30gCg==' }), undefined);
    assert.equal(embeddedBytes({ ...empty, sizeBytes: 3 }), undefined);
    assert.equal(embeddedBytes({ ...empty, data: 'eyB9' }), undefined);
    assert.equal(
      embeddedBytes({ mediaType: 'a/b', digest: digestOf(bytes), sizeBytes: 2 }),
      undefined,
    );
  });
});
