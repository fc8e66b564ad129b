import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { UNKNOWN_SIZE } from '../../../functions/oci/descriptor.ts';
import { digestOf } from '../../../functions/oci/digest.ts';
import { blobsOf, parseManifest } from '../../../functions/oci/manifest.ts';
import { DOCKER_SCHEMA1 } from '../../../functions/oci/media-types.ts';

describe('descriptor', () => {
  it('marks the size that a manifest does not tell', () => {
    const document = { schemaVersion: 1, fsLayers: [{ blobSum: digestOf(Buffer.from('layer')) }] };
    const [layer] = blobsOf(parseManifest(Buffer.from(JSON.stringify(document)), DOCKER_SCHEMA1));
    assert.equal(layer?.sizeBytes, UNKNOWN_SIZE);
  });
});
