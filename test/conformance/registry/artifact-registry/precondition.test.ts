import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { buildImage, buildIndex, EPOCH, textLayer } from '../../../stand-ins/images/image.ts';
import { putImage, storeTarget } from '../../../stand-ins/images/target.ts';
import { immutableTag } from '../../../stand-ins/registry/artifact-registry/precondition.ts';
import { ask, start, storeImage } from '../loopback.ts';

describe('deletion at Artifact Registry', () => {
  it('refuses a tagged manifest until its tags have gone', async (t) => {
    const registry = await start(t, { personality: 'artifact-registry' });
    const digest = storeImage(registry, 'p/r/app', 'v1');
    const path = '/v2/p/r/app/manifests/';
    const refused = await ask(registry.url, 'DELETE', path + digest);
    assert.deepEqual([refused.status, refused.codes], [400, ['FAILED_PRECONDITION']]);
    assert.equal((await ask(registry.url, 'DELETE', `${path}v1`)).status, 202);
    assert.equal((await ask(registry.url, 'DELETE', path + digest)).status, 202);
  });

  it('refuses the child of an index', async (t) => {
    const registry = await start(t, { personality: 'artifact-registry' });
    const platform = { os: 'linux', architecture: 'amd64' };
    const image = buildImage({ layers: [textLayer('s', 'app', 64)], platform, created: EPOCH });
    await putImage(storeTarget(registry.store), 'p/r/app', buildIndex([{ image, platform }]), 'v1');
    const refused = await ask(registry.url, 'DELETE', `/v2/p/r/app/manifests/${image.root.digest}`);
    assert.deepEqual(refused.codes, ['FAILED_PRECONDITION']);
  });

  it('refuses an immutable tag', async (t) => {
    const registry = await start(t, {
      personality: 'artifact-registry',
      switches: { immutableTags: true },
    });
    storeImage(registry, 'p/r/app', 'v1');
    const refused = await ask(registry.url, 'DELETE', '/v2/p/r/app/manifests/v1');
    assert.deepEqual(refused.codes, ['FAILED_PRECONDITION']);
    assert.match(immutableTag('v1').message, /immutab/);
  });
});
