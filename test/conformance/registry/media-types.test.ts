import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as types from '../../stand-ins/registry/media-types.ts';

describe('media types', () => {
  it('tell indexes, schema 1 and foreign layers', () => {
    const kinds = (test: (mediaType: string) => boolean): readonly string[] =>
      types.MANIFEST_TYPES.filter(test);
    assert.deepEqual(kinds(types.isIndexType), [types.OCI_INDEX, types.DOCKER_LIST]);
    assert.deepEqual(kinds(types.isSchema1Type), [
      types.DOCKER_SCHEMA1,
      types.DOCKER_SCHEMA1_SIGNED,
    ]);
    assert.ok(
      types.isForeignLayerType('application/vnd.docker.image.rootfs.foreign.diff.tar.gzip'),
    );
    assert.ok(types.isForeignLayerType('application/vnd.oci.image.layer.nondistributable.v1.tar'));
    assert.ok(!types.isForeignLayerType(types.OCI_LAYER_GZIP));
  });
});
