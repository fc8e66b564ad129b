import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { challengedAuthorization } from '../../stand-ins/verifier/authorization.ts';
import { textOf } from '../../stand-ins/verifier/http-exchange.ts';
import { RegistryClient } from '../../stand-ins/verifier/registry-client.ts';
import type { LocalRegistry } from '../../stand-ins/registry/registry.ts';
import type { RegistrySwitches } from '../../stand-ins/registry/switches.ts';
import { start, storeImage } from '../registry/loopback.ts';

async function startBoth(
  t: TestContext,
  switches: Partial<RegistrySwitches> = {},
): Promise<{ registry: LocalRegistry; client: RegistryClient }> {
  const registry = await start(t, { auth: { scheme: 'bearer' }, switches });
  const client = new RegistryClient({
    url: registry.url,
    authorization: challengedAuthorization(),
  });
  t.after(() => {
    client.close();
  });
  return { registry, client };
}

describe('registry client', () => {
  it('answers one challenge and then knows the token', async (t) => {
    const { registry, client } = await startBoth(t);
    storeImage(registry, 'a', 'v1');
    for (let count = 0; count < 2; count++) {
      const list = await client.send({ method: 'GET', repository: 'a', path: 'tags/list' });
      assert.match(await textOf(list), /"v1"/);
    }
    assert.deepEqual(registry.counter.summary, {
      'GET tags 401': 1,
      'GET token 200': 1,
      'GET tags 200': 2,
    });
  });

  for (const blobRedirect of ['same-host', 'other-host', 'signed-other-host'] as const) {
    it(`follows a blob to ${blobRedirect} without credentials`, async (t) => {
      const { registry, client } = await startBoth(t, { blobRedirect });
      const digest = registry.store.putBlob('a', Buffer.from('far'));
      const path = `blobs/${digest}`;
      const answer = await client.send({ method: 'GET', repository: 'a', path });
      assert.deepEqual([answer.statusCode, await textOf(answer)], [200, 'far']);
      const [hop] = registry.counter.select({ kind: 'download' });
      assert.equal(hop?.headers.authorization, undefined);
    });
  }

  it('gives its credentials to no other host that an address names', async (t) => {
    const { registry, client } = await startBoth(t);
    storeImage(registry, 'a', 'v1');
    await client.send({ method: 'GET', repository: 'a', path: 'tags/list' });
    registry.counter.reset();
    for (const origin of [registry.url, registry.downloadUrl]) {
      const path = `${origin}/v2/a/tags/list?last=v0`;
      (await client.send({ method: 'GET', repository: 'a', path })).resume();
    }
    assert.deepEqual(
      registry.counter.records.map(({ host, headers }) => [
        host,
        headers.authorization === undefined,
      ]),
      [
        ['registry', false],
        // Asked twice: the answer is a challenge, which another host gets no credentials for either.
        ['downloads', true],
        ['downloads', true],
      ],
    );
  });

  it('ends a circle of redirects', async (t) => {
    const { registry, client } = await startBoth(t);
    registry.faults.add({
      kind: 'blob',
      times: 100,
      effect: { kind: 'answer', status: 302, headers: { location: '/v2/a/blobs/round' } },
    });
    await assert.rejects(client.send({ method: 'GET', repository: 'a', path: 'blobs/round' }));
  });
});
