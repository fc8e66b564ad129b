import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { OCI_MANIFEST } from '../../stand-ins/registry/media-types.ts';
import { ask, pushBlob, start, storeImage } from './loopback.ts';

describe('router', () => {
  it('answers the ping of version 2', async (t) => {
    const registry = await start(t);
    const answer = await ask(registry.url, 'GET', '/v2/');
    assert.deepEqual([answer.status, answer.json], [200, {}]);
    assert.equal(answer.headers['docker-distribution-api-version'], 'registry/2.0');
  });

  for (const name of ['manifests/blobs', 'tags/list', 'a/blobs/b']) {
    it(`finds the repository '${name}'`, async (t) => {
      const registry = await start(t);
      storeImage(registry, name, 'v1');
      assert.equal((await ask(registry.url, 'GET', `/v2/${name}/tags/list`)).status, 200);
      const headers = { accept: OCI_MANIFEST };
      const got = await ask(registry.url, 'GET', `/v2/${name}/manifests/v1`, { headers });
      assert.equal(got.status, 200);
      assert.equal((await pushBlob(registry.url, name, Buffer.from('x'))).status, 201);
    });
  }

  for (const [path, status, code] of [
    ['/v3/', 404, 'UNSUPPORTED'],
    ['/v2/Upper/tags/list', 400, 'NAME_INVALID'],
    ['/v2/a/manifests/%ZZ', 400, 'NAME_INVALID'],
    ['/v2/a/blobs/uploads/', 405, 'UNSUPPORTED'],
  ] as const) {
    it(`refuses GET ${path}`, async (t) => {
      const registry = await start(t);
      const answer = await ask(registry.url, 'GET', path);
      assert.deepEqual([answer.status, answer.codes], [status, [code]]);
    });
  }
});
