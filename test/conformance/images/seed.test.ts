import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DEFAULT_LINES, nextRelease, seedImages } from '../../stand-ins/images/seed.ts';
import { storeTarget } from '../../stand-ins/images/target.ts';
import { start } from '../registry/loopback.ts';

describe('seed', () => {
  it('fills a registry with one repository of each kind, the same each time', async (t) => {
    const one = await start(t);
    const two = await start(t);
    const seeded = await seedImages(storeTarget(one.store));
    await seedImages(storeTarget(two.store));
    assert.deepEqual(
      seeded.map(({ repository }) => repository),
      DEFAULT_LINES.map(({ repository }) => repository),
    );
    for (const { repository, versions } of seeded) {
      assert.deepEqual(versions, ['1.0.0', '1.0.1', '1.0.2']);
      for (const tag of one.store.tags(repository)) {
        assert.equal(
          one.store.digestOfTag(repository, tag),
          two.store.digestOfTag(repository, tag),
        );
      }
    }
    assert.ok(one.store.blobBytes < 4 * 1024 * 1024);
  });

  it('goes on with the next version', async (t) => {
    const registry = await start(t);
    const target = storeTarget(registry.store);
    const lines = [{ repository: 'demo/payments', kind: 'signed' }] as const;
    const [repository] = await seedImages(target, { lines, releases: 1, seed: 'x' });
    const next = await nextRelease(target, repository!, 'x');
    assert.deepEqual(next.versions, ['1.0.0', '1.0.1']);
    assert.equal(registry.store.tags('demo/payments').length, 4);
  });
});
