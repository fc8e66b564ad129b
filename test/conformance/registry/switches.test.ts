import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DEFAULT_SWITCHES } from '../../stand-ins/registry/switches.ts';
import { ask, pushBlob, start } from './loopback.ts';

describe('switches', () => {
  it('are those of the product by default', () => {
    const google = DEFAULT_SWITCHES['artifact-registry'];
    const plain = DEFAULT_SWITCHES.distribution;
    assert.deepEqual(
      [google.mapLimit, google.severalPatches, google.blobRedirect, google.mountProbe],
      [10_000, false, 'same-host', 'honoured'],
    );
    assert.deepEqual(
      [plain.mapLimit, plain.severalPatches, plain.blobRedirect, plain.mountProbe],
      [0, true, 'none', 'ignored'],
    );
  });

  it('take effect with the next request', async (t) => {
    const registry = await start(t, { switches: { contentDigest: false } });
    const put = await pushBlob(registry.url, 'a', Buffer.from('x'));
    assert.equal(put.headers['docker-content-digest'], undefined);
    registry.set({ contentDigest: true });
    assert.equal(registry.switches.contentDigest, true);
    const again = await pushBlob(registry.url, 'a', Buffer.from('x'));
    assert.match(String(again.headers['docker-content-digest']), /^sha256:/);
    assert.equal((await ask(registry.url, 'GET', '/v2/')).status, 200);
  });
});
