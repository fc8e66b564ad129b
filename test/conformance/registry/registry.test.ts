import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { describe, it } from 'node:test';
import { startRegistry } from '../../stand-ins/registry/registry.ts';
import { ask, start, storeImage } from './loopback.ts';

describe('registry', () => {
  it('listens on loopback, on the port it is told to', async (t) => {
    const first = await startRegistry();
    await first.close();
    const port = Number(first.host.split(':')[1]);
    const again = await start(t, { port });
    assert.equal(again.host, `127.0.0.1:${port}`);
    await assert.rejects(startRegistry({ port }), { code: 'EADDRINUSE' });
  });

  it('ends with its open connections', async () => {
    const registry = await startRegistry();
    const socket = connect(Number(registry.host.split(':')[1]), '127.0.0.1');
    const closed = new Promise((resolve) => socket.on('close', resolve));
    socket.on('error', () => undefined);
    await new Promise((resolve) => socket.on('connect', resolve));
    socket.write('GET /v2/ HTTP/1.1\r\nhost: x\r\n\r\n');
    await new Promise((resolve) => socket.once('data', resolve));
    await registry.close();
    await closed;
  });

  it('ends while a request waits for ever', async () => {
    const registry = await startRegistry();
    registry.faults.add({ effect: { kind: 'stall', at: 'head' } });
    const waiting = ask(registry.url, 'GET', '/v2/').catch(() => 'gone');
    while (registry.counter.openRequests === 0)
      await new Promise((resolve) => setImmediate(resolve));
    await registry.close();
    assert.equal(await waiting, 'gone');
  });

  it('asks for no credentials unless it is told to, in either personality', async (t) => {
    for (const personality of ['distribution', 'artifact-registry'] as const) {
      const registry = await start(t, { personality });
      storeImage(registry, 'p/r/app', 'v1');
      registry.revokeTokens();
      assert.equal((await ask(registry.url, 'GET', '/v2/p/r/app/tags/list')).status, 200);
    }
  });
});
