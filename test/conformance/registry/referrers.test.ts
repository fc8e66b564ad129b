import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { buildReferrer } from '../../stand-ins/images/artifact.ts';
import { putImage, storeTarget } from '../../stand-ins/images/target.ts';
import { OCI_INDEX, OCI_MANIFEST } from '../../stand-ins/registry/media-types.ts';
import { ask, start, storeImage } from './loopback.ts';

describe('referrers', () => {
  it('lists the manifests with this subject, by type where asked', async (t) => {
    const registry = await start(t);
    const subject = storeImage(registry, 'org/app', 'v1');
    const { bytes } = registry.store.manifest('org/app', subject)!;
    const referrer = buildReferrer({ mediaType: OCI_MANIFEST, digest: subject, bytes }, 'seed');
    await putImage(storeTarget(registry.store), 'org/app', referrer);
    const path = `/v2/org/app/referrers/${subject}`;
    const all = await ask(registry.url, 'GET', path);
    assert.equal(all.headers['content-type'], OCI_INDEX);
    assert.deepEqual((all.json as { manifests: unknown }).manifests, [
      {
        mediaType: OCI_MANIFEST,
        digest: referrer.root.digest,
        size: referrer.root.bytes.length,
        artifactType: 'application/spdx+json',
      },
    ]);
    const other = await ask(registry.url, 'GET', `${path}?artifactType=application/other`);
    assert.deepEqual((other.json as { manifests: unknown }).manifests, []);
    assert.equal(other.headers['oci-filters-applied'], 'artifactType');
  });

  it('is an empty index for a subject without referrers, known or not', async (t) => {
    const registry = await start(t);
    const subject = `sha256:${'0'.repeat(64)}`;
    const answer = await ask(registry.url, 'GET', `/v2/org/app/referrers/${subject}`);
    assert.equal(answer.status, 200);
    assert.deepEqual((answer.json as { manifests: unknown }).manifests, []);
    assert.equal((await ask(registry.url, 'GET', '/v2/org/app/referrers/v1')).status, 400);
  });

  it('is absent, or a lie, where the registry has none', async (t) => {
    const registry = await start(t, { switches: { referrers: 'absent' } });
    const subject = storeImage(registry, 'org/app', 'v1');
    const path = `/v2/org/app/referrers/${subject}`;
    assert.equal((await ask(registry.url, 'GET', path)).status, 404);
    registry.set({ referrers: 'lying' });
    const lie = await ask(registry.url, 'GET', path);
    assert.equal(lie.status, 200);
    assert.equal((lie.json as { manifests?: unknown }).manifests, undefined);
  });
});
