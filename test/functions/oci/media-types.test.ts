import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  DOCKER_SCHEMA1,
  DOCKER_SCHEMA1_SIGNED,
  essence,
  isForeignLayer,
  manifestKind,
  MANIFEST_ACCEPT,
  OCI_INDEX,
  OCI_MANIFEST,
} from '../../../functions/oci/media-types.ts';

const OCI_ARTIFACT = 'application/vnd.oci.artifact.manifest.v1+json';
const DOCKER_MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json';
const DOCKER_LIST = 'application/vnd.docker.distribution.manifest.list.v2+json';

describe('media types', () => {
  const kinds: readonly (readonly [string, string | undefined])[] = [
    [OCI_MANIFEST, 'image'],
    [DOCKER_MANIFEST, 'image'],
    [OCI_INDEX, 'index'],
    [DOCKER_LIST, 'index'],
    [OCI_ARTIFACT, 'artifact'],
    [DOCKER_SCHEMA1, 'schema1'],
    [DOCKER_SCHEMA1_SIGNED, 'schema1'],
    ['application/json', undefined],
    ['', undefined],
  ];
  it('offers every manifest type at once', () => {
    const manifests = kinds.filter(([, kind]) => kind !== undefined).map(([type]) => type);
    assert.deepEqual(new Set(MANIFEST_ACCEPT.split(', ')), new Set(manifests));
  });

  for (const [type, kind] of kinds) {
    it(`takes '${type}' as ${kind ?? 'no manifest'}`, () => {
      assert.equal(manifestKind(type), kind);
    });
  }

  it('knows layers that are not distributable', () => {
    assert.ok(isForeignLayer('application/vnd.docker.image.rootfs.foreign.diff.tar.gzip'));
    assert.ok(isForeignLayer('application/vnd.oci.image.layer.nondistributable.v1.tar+zstd'));
    assert.ok(!isForeignLayer('application/vnd.oci.image.layer.v1.tar+gzip'));
  });

  it('takes a Content-Type without its parameters', () => {
    assert.equal(essence('Application/JSON ; charset=utf-8'), 'application/json');
    assert.equal(essence(undefined), '');
  });
});
