import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { startControl } from '../../stand-ins/registry/control.ts';
import { ask, start } from './loopback.ts';

describe('control', () => {
  it('tells figures and changes switches, faults and contents on an address of its own', async (t) => {
    const registry = await start(t);
    const control = await startControl(registry);
    t.after(() => control.close());
    const command = async (method: string, path: string, body?: unknown): Promise<unknown> => {
      const answer = await ask(control.url, method, path, {
        body: body === undefined ? '' : JSON.stringify(body),
      });
      assert.equal(answer.status, 200);
      return answer.json;
    };
    await ask(registry.url, 'GET', '/v2/');
    const figures = (await command('GET', '/figures')) as { total: number; cpuMs: number };
    assert.equal(figures.total, 1);
    assert.ok(figures.cpuMs > 0);
    await command('POST', '/reset');
    assert.equal(registry.counter.total, 0);
    await command('PUT', '/switches', { referrers: 'absent' });
    assert.equal(registry.switches.referrers, 'absent');
    await command('POST', '/faults', { path: '^/v2/$', effect: { kind: 'answer', status: 503 } });
    assert.equal((await ask(registry.url, 'GET', '/v2/')).status, 503);
    await command('DELETE', '/faults');
    await command('POST', '/seed', { releases: 1 });
    assert.ok(registry.store.repositories().length > 3);
    const layer = { seed: 'x', sizeBytes: 100_000 };
    const synthetic = { repository: 'big/app', tag: 'v1', layers: [layer, layer] };
    const { digest } = (await command('POST', '/synthetic', synthetic)) as { digest: string };
    assert.equal(registry.store.digestOfTag('big/app', 'v1'), digest);
    await command('POST', '/collect-garbage');
    await command('POST', '/revoke-tokens');
    await command('POST', '/clear');
    assert.deepEqual(registry.store.repositories(), []);
    assert.equal((await ask(control.url, 'GET', '/nothing')).status, 400);
    assert.equal((await ask(control.url, 'POST', '/faults', { body: '{' })).status, 400);
  });
});
