import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  entriesOf,
  entryOf,
  indexOf,
  mergeEntries,
} from '../../../functions/mirror/fallback-index.ts';
import { parseManifest } from '../../../functions/oci/manifest.ts';
import { digestOf, imageOf, imageWith, manifestOf, OCI_INDEX } from './images.ts';
import { thrown } from '../../faults.ts';

const subject = imageWith('subject', 1).manifest;
const signature = imageOf('signature', [], { subject, artifactType: 'application/x.signature' });

describe('entryOf', () => {
  it('tells what the schema wants of a referrer', () => {
    const { manifest } = signature;
    const parsed = parseManifest(manifest.bytes, manifest.mediaType);
    for (const annotations of [{ 'org.example': 'yes' }, {}]) {
      assert.deepEqual(
        entryOf({ digest: manifest.digest, bytes: manifest, manifest: { ...parsed, annotations } }),
        {
          mediaType: manifest.mediaType,
          digest: manifest.digest,
          size: manifest.bytes.length,
          artifactType: 'application/x.signature',
          annotations: 'org.example' in annotations ? annotations : undefined,
        },
      );
    }
  });
});

describe('mergeEntries', () => {
  it('adds what is new, and removes and changes nothing', () => {
    const present = [{ digest: 'a', size: 1, note: 'kept as it is' }, { digest: 'b' }];
    assert.deepEqual(mergeEntries(present, [{ digest: 'c' }, { digest: 'a', size: 2 }]), [
      ...present,
      { digest: 'c' },
    ]);
  });

  it('is nothing where nothing is new', () => {
    assert.equal(mergeEntries([{ digest: 'a' }], [{ digest: 'a' }]), undefined);
    assert.equal(mergeEntries([], []), undefined);
  });
});

describe('indexOf', () => {
  it('makes an index that reads back', () => {
    const index = indexOf([{ digest: 'a', extra: true }]);
    assert.equal(index.mediaType, OCI_INDEX);
    assert.equal(index.digest, digestOf(index.bytes));
    assert.deepEqual(entriesOf(index), [{ digest: 'a', extra: true }]);
  });
});

describe('entriesOf', () => {
  it('takes null for none: Go writes an empty list so', () => {
    assert.deepEqual(entriesOf(manifestOf({ manifests: null }, OCI_INDEX)), []);
  });

  it('refuses what is no index', () => {
    thrown(() => entriesOf(subject), 'MANIFEST_INVALID');
    thrown(() => entriesOf(manifestOf({ manifests: 1 }, OCI_INDEX)), 'MANIFEST_INVALID');
  });
});
