import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { digestOf } from '../../stand-ins/registry/digest.ts';
import { manifestDigest, readManifest } from '../../stand-ins/registry/manifest.ts';
import {
  DOCKER_SCHEMA1_SIGNED,
  OCI_INDEX,
  OCI_MANIFEST,
} from '../../stand-ins/registry/media-types.ts';
import { RegistryRefusal } from '../../stand-ins/registry/refusal.ts';

function descriptor(text: string, more: object = {}): object {
  return { mediaType: 'application/x', digest: digestOf(text), size: text.length, ...more };
}

function bytes(document: unknown): Buffer {
  return Buffer.from(JSON.stringify(document));
}

describe('manifest', () => {
  it('tells config, layers, foreign layers, subject and artifact type', () => {
    const foreign = { mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip' };
    const contents = readManifest(
      OCI_MANIFEST,
      bytes({
        schemaVersion: 2,
        config: descriptor('c', { mediaType: 'application/config' }),
        layers: [descriptor('l'), descriptor('f', foreign)],
        subject: descriptor('s'),
        annotations: { a: 'b' },
      }),
    );
    assert.deepEqual(
      contents.blobs.map(({ digest }) => digest),
      [digestOf('c'), digestOf('l')],
    );
    assert.deepEqual(
      contents.foreign.map(({ digest }) => digest),
      [digestOf('f')],
    );
    assert.equal(contents.subject?.digest, digestOf('s'));
    assert.equal(contents.artifactType, 'application/config');
    assert.deepEqual(contents.annotations, { a: 'b' });
  });

  it('tells the children of an index', () => {
    const contents = readManifest(OCI_INDEX, bytes({ manifests: [descriptor('m')] }));
    assert.deepEqual(
      contents.children.map(({ digest }) => digest),
      [digestOf('m')],
    );
    assert.deepEqual(contents.blobs, []);
  });

  it('tells the distinct layers of schema 1, whose digest leaves the signatures out', () => {
    const payload = {
      schemaVersion: 1,
      fsLayers: [{ blobSum: digestOf('l') }, { blobSum: digestOf('l') }],
    };
    const text = JSON.stringify(payload, undefined, 3);
    // A JSON web signature of libtrust: its payload is the text up to formatLength, and formatTail.
    const formatLength = text.length - 2;
    const protectedHeader = Buffer.from(
      JSON.stringify({ formatLength, formatTail: Buffer.from('\n}').toString('base64url') }),
    ).toString('base64url');
    const signed = `${text.slice(0, formatLength)},\n   "signatures": [{"protected": "${protectedHeader}"}]\n}`;
    const contents = readManifest(DOCKER_SCHEMA1_SIGNED, Buffer.from(signed));
    assert.deepEqual(
      contents.blobs.map(({ digest }) => digest),
      [digestOf('l')],
    );
    assert.equal(manifestDigest(DOCKER_SCHEMA1_SIGNED, Buffer.from(signed)), digestOf(text));
    assert.equal(manifestDigest(DOCKER_SCHEMA1_SIGNED, Buffer.from(text)), digestOf(text));
    assert.equal(manifestDigest(OCI_MANIFEST, Buffer.from(signed)), digestOf(signed));
  });

  const malformed: readonly (readonly [string, string, Buffer])[] = [
    ['no JSON', OCI_MANIFEST, Buffer.from('{')],
    ['no object', OCI_MANIFEST, Buffer.from('1')],
    ['another media type inside', OCI_MANIFEST, bytes({ mediaType: OCI_INDEX, manifests: [] })],
    ['an index under the type of a manifest', OCI_MANIFEST, bytes({ manifests: [] })],
    ['both index and manifest', OCI_INDEX, bytes({ manifests: [], layers: [] })],
    ['no config', OCI_MANIFEST, bytes({ layers: [] })],
    ['a descriptor without digest', OCI_INDEX, bytes({ manifests: [{ mediaType: 'x', size: 1 }] })],
    ['children that are no list', OCI_INDEX, bytes({ manifests: {} })],
    ['schema 1 without layers', DOCKER_SCHEMA1_SIGNED, bytes({})],
    ['schema 1 with a bad digest', DOCKER_SCHEMA1_SIGNED, bytes({ fsLayers: [{ blobSum: 'x' }] })],
  ];
  for (const [name, mediaType, document] of malformed) {
    it(`is refused as ${name}`, () => {
      assert.throws(
        () => readManifest(mediaType, document),
        (error) =>
          error instanceof RegistryRefusal && error.entries[0]?.code === 'MANIFEST_INVALID',
      );
    });
  }
});
