import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import type { LocalRegistry } from '../../../stand-ins/registry/registry.ts';
import { OCI_MANIFEST } from '../../../stand-ins/registry/media-types.ts';
import { ask, start, storeImage } from '../loopback.ts';

interface MapAnswer {
  readonly child: readonly string[];
  readonly name: string;
  readonly tags: readonly string[];
  readonly manifest: Readonly<
    Record<
      string,
      { tag: string[]; mediaType: string; timeUploadedMs: string; imageSizeBytes: string }
    >
  >;
}

function startGoogle(t: TestContext, mapLimit = 10_000): Promise<LocalRegistry> {
  return start(t, {
    personality: 'artifact-registry',
    switches: { mapLimit },
    clock: () => 1_700_000_000_000,
  });
}

async function list(registry: LocalRegistry, query = ''): Promise<MapAnswer> {
  const answer = await ask(registry.url, 'GET', `/v2/p/r/app/tags/list${query}`);
  assert.equal(answer.status, 200);
  assert.equal(answer.headers['link'], undefined);
  return answer.json as MapAnswer;
}

describe('manifest map', () => {
  it('tells digests, times and sizes as texts, untagged manifests too', async (t) => {
    const registry = await startGoogle(t);
    const tagged = storeImage(registry, 'p/r/app', 'v1');
    registry.store.setTag('p/r/app', 'latest', tagged);
    const untagged = storeImage(registry, 'p/r/app', undefined);
    const { tags, manifest, name } = await list(registry, '?n=10000');
    assert.equal(name, 'p/r/app');
    assert.deepEqual(tags, ['latest', 'v1']);
    assert.deepEqual(Object.keys(manifest).sort(), [tagged, untagged].sort());
    assert.deepEqual(manifest[tagged], {
      imageSizeBytes: '24',
      layerId: '',
      mediaType: OCI_MANIFEST,
      tag: ['latest', 'v1'],
      timeCreatedMs: '1700000000000',
      timeUploadedMs: '1700000000000',
    });
    assert.deepEqual(manifest[untagged]?.tag, []);
  });

  it('names the images below', async (t) => {
    const registry = await startGoogle(t);
    storeImage(registry, 'p/r/app/web', 'v1');
    storeImage(registry, 'p/r/app/web/deep', 'v1');
    storeImage(registry, 'p/r/application', 'v1');
    assert.deepEqual((await list(registry)).child, ['web']);
  });

  it('is cut without a word where tags and manifests exceed the limit', async (t) => {
    const registry = await startGoogle(t, 5);
    for (const tag of ['a', 'b', 'c']) storeImage(registry, 'p/r/app', tag);
    storeImage(registry, 'p/r/app', undefined);
    const { tags, manifest } = await list(registry);
    assert.deepEqual(tags, ['a', 'b']);
    assert.equal(Object.keys(manifest).length, 3);
    for (const tag of tags) {
      assert.ok(Object.values(manifest).some((entry) => entry.tag.includes(tag)));
    }
  });

  it('is cut at 10,000', async (t) => {
    const registry = await startGoogle(t);
    for (let number = 0; number < 3000; number++) {
      const digest = storeImage(registry, 'p/r/app', `v${number}`);
      assert.ok(digest);
      for (const child of ['a', 'b', 'c']) {
        storeImage(registry, 'p/r/app', undefined, `${number}/${child}`);
      }
    }
    const { tags, manifest } = await list(registry, '?n=10000');
    assert.equal(tags.length, 3000);
    assert.equal(Object.keys(manifest).length, 7000);
  });

  it('answers NAME_UNKNOWN for an image that is not there', async (t) => {
    const registry = await startGoogle(t);
    const answer = await ask(registry.url, 'GET', '/v2/p/r/none/tags/list');
    assert.deepEqual([answer.status, answer.codes], [404, ['NAME_UNKNOWN']]);
  });

  it('pages by n, with the untagged manifests on the last page', async (t) => {
    const registry = await startGoogle(t);
    for (const tag of ['a', 'b', 'c']) storeImage(registry, 'p/r/app', tag);
    storeImage(registry, 'p/r/app', undefined);
    const first = await ask(registry.url, 'GET', '/v2/p/r/app/tags/list?n=2');
    assert.equal(first.headers['link'], '</v2/p/r/app/tags/list?last=b&n=2>; rel="next"');
    const { tags, manifest } = first.json as MapAnswer;
    assert.deepEqual([tags, Object.keys(manifest).length], [['a', 'b'], 2]);
    const last = await list(registry, '?last=b&n=2');
    assert.deepEqual([last.tags, Object.keys(last.manifest).length], [['c'], 2]);
  });

  it('refuses n that is no number', async (t) => {
    const registry = await startGoogle(t);
    storeImage(registry, 'p/r/app', 'v1');
    assert.equal((await ask(registry.url, 'GET', '/v2/p/r/app/tags/list?n=x')).status, 400);
  });
});
