import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { TokenIssuer } from '../../stand-ins/metadata/token-issuer.ts';
import { startRegistryProcess } from '../../stand-ins/registry/registry-process.ts';
import { ask, pushBlob } from './loopback.ts';

const ENTRY = fileURLToPath(new URL('../../stand-ins/registry/main.ts', import.meta.url));

describe('a registry in a process of its own', () => {
  it('serves, is controlled, and ends', async (t) => {
    const registry = await startRegistryProcess([
      '--switch',
      'mountFrom=ignored',
      '--discard-blobs',
    ]);
    t.after(() => registry.close());
    assert.equal((await pushBlob(registry.url, 'a', Buffer.from('x'))).status, 201);
    const figures = await registry.figures();
    assert.deepEqual([figures.total, figures.uploadedBytes], [2, 1]);
    await registry.reset();
    const layers = [{ seed: 's', sizeBytes: 10_000 }];
    const { digest } = await registry.putSyntheticImage({ repository: 'b', tag: 'v1', layers });
    assert.match(digest, /^sha256:/);
    assert.equal((await ask(registry.url, 'GET', '/v2/b/tags/list')).status, 200);
    await registry.set({ rttMs: 1 });
    await registry.addFault({ kind: 'tags', effect: { kind: 'answer', status: 500 } });
    assert.equal((await ask(registry.url, 'GET', '/v2/b/tags/list')).status, 500);
    await registry.clearFaults();
    await registry.clear();
    assert.equal((await ask(registry.url, 'GET', '/v2/b/tags/list')).status, 404);
    await registry.close();
    await assert.rejects(ask(registry.url, 'GET', '/v2/'));
    await registry.close();
  });

  it('accepts the tokens of whoever has its secret', async (t) => {
    const registry = await startRegistryProcess([
      '--personality=artifact-registry',
      '--token-secret=shared',
    ]);
    t.after(() => registry.close());
    const { token } = new TokenIssuer({ secret: 'shared' }).mint('a@b');
    const headers = { authorization: `Bearer ${token}` };
    assert.equal((await ask(registry.url, 'GET', '/v2/')).status, 401);
    assert.equal((await ask(registry.url, 'GET', '/v2/', { headers })).status, 200);
  });

  it('says what is wrong in one line and ends with 2', async () => {
    const { status, stderr } = spawnSync(process.execPath, [ENTRY, '--nonsense'], {
      encoding: 'utf8',
    });
    assert.equal(status, 2);
    assert.equal(stderr.trim().split('\n').length, 1);
    assert.match(stderr, /--nonsense/);
    await assert.rejects(startRegistryProcess(['--port', 'x']));
    const help = spawnSync(process.execPath, [ENTRY, '--help'], { encoding: 'utf8' });
    assert.equal(help.status, 0);
    assert.match(help.stdout, /--personality/);
  });
});
