import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { memoryContent } from '../../stand-ins/registry/content.ts';
import { digestOf } from '../../stand-ins/registry/digest.ts';
import { OCI_INDEX, OCI_MANIFEST } from '../../stand-ins/registry/media-types.ts';
import { RegistryStore } from '../../stand-ins/registry/store.ts';
import { manifestOf } from './loopback.ts';

const CONFIG = Buffer.from('{}');
const LAYER = Buffer.from('layer');

function storeOf(): RegistryStore {
  return new RegistryStore(
    (repository) => repository.split('/')[0] ?? '',
    () => 5,
  );
}

describe('registry store', () => {
  it('files manifests by digest and points tags at them', () => {
    const store = storeOf();
    const bytes = manifestOf(CONFIG, [LAYER]);
    const stored = store.putManifest('p/app', { mediaType: OCI_MANIFEST, bytes }, 'v1');
    assert.deepEqual([stored.digest, stored.uploadedMs], [digestOf(bytes), 5]);
    store.setTag('p/app', 'latest', stored.digest);
    assert.deepEqual(store.tags('p/app'), ['latest', 'v1']);
    assert.equal(store.manifest('p/app', 'latest'), stored);
    assert.equal(store.digestOfTag('p/app', 'v1'), stored.digest);
    assert.deepEqual(store.repositories(), ['p/app']);
    assert.throws(() => {
      store.setTag('p/app', 'x', digestOf('none'));
    });
  });

  it('removes a manifest with its tags and a tag alone', () => {
    const store = storeOf();
    const bytes = manifestOf(CONFIG, []);
    const { digest } = store.putManifest('a', { mediaType: OCI_MANIFEST, bytes }, 'v1');
    store.setTag('a', 'v2', digest);
    assert.ok(store.deleteTag('a', 'v1'));
    assert.ok(!store.deleteTag('a', 'v1'));
    assert.ok(store.deleteManifest('a', digest));
    assert.ok(!store.deleteManifest('a', digest));
    assert.deepEqual([store.tags('a'), store.repositories()], [[], []]);
    assert.ok(!store.deleteManifest('none', digest));
    assert.ok(!store.deleteTag('none', 'v1'));
  });

  it('shares blobs within a pool', () => {
    const store = storeOf();
    const digest = store.putBlob('p/one', LAYER);
    assert.equal(digest, digestOf(LAYER));
    assert.equal(store.blob('p/two', digest)?.sizeBytes, 5);
    assert.equal(store.blob('q/one', digest), undefined);
    assert.equal(store.poolOf('p/two'), 'p');
    store.putBlob('q/one', memoryContent(LAYER));
    assert.equal(store.blobBytes, 5);
    assert.ok(store.deleteBlob('p/two', digest));
    assert.ok(!store.deleteBlob('p/two', digest));
  });

  it('collects what no manifest of the pool names', () => {
    const store = storeOf();
    const [config, layer, cached, stray] = ['{}', 'layer', 'cached', 'stray'].map((text) =>
      store.putBlob('p/app', Buffer.from(text)),
    );
    store.putManifest('p/app', { mediaType: OCI_MANIFEST, bytes: manifestOf(CONFIG, [LAYER]) });
    const index = { manifests: [{ mediaType: 'application/x', digest: cached, size: 6 }] };
    store.putManifest('p/other', {
      mediaType: OCI_INDEX,
      bytes: Buffer.from(JSON.stringify(index)),
    });
    assert.deepEqual(store.collectGarbage(), [stray]);
    assert.deepEqual(store.blobs('p/app'), [config, layer, cached]);
    assert.deepEqual(store.blobs('none/app'), []);
  });

  it('forgets everything', () => {
    const store = storeOf();
    store.putBlob('p/app', LAYER);
    store.putManifest('p/app', { mediaType: OCI_MANIFEST, bytes: manifestOf(CONFIG, []) }, 'v1');
    store.clear();
    assert.deepEqual(
      [store.repositories(), store.blobBytes, store.manifests('p/app')],
      [[], 0, []],
    );
  });
});
