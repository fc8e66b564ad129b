import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { bytesOf, exchange, textOf } from '../../stand-ins/verifier/http-exchange.ts';
import { start } from '../registry/loopback.ts';

describe('exchange', () => {
  it('sends one request and follows nothing', async (t) => {
    const registry = await start(t, { switches: { blobRedirect: 'same-host' } });
    const digest = registry.store.putBlob('a', Buffer.from('x'));
    const moved = await exchange(new URL(`${registry.url}/v2/a/blobs/${digest}`), {
      method: 'GET',
    });
    assert.equal(moved.statusCode, 307);
    assert.equal((await bytesOf(moved)).length, 0);
    const far = await exchange(new URL(moved.headers.location ?? ''), { method: 'GET' });
    assert.equal(await textOf(far), 'x');
    assert.equal(registry.counter.records.length, 2);
  });

  it('rejects where nobody listens', async (t) => {
    const registry = await start(t);
    await registry.close();
    await assert.rejects(exchange(new URL(registry.url), { method: 'GET' }), {
      code: 'ECONNREFUSED',
    });
  });
});
