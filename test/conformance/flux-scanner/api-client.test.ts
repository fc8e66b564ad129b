import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { ApiClient, ApiRefusal } from '../../stand-ins/flux-scanner/api-client.ts';
import { startCluster, type Cluster } from './cluster.ts';

describe('the API client of the scanner', () => {
  let cluster: Cluster;
  before(async () => {
    cluster = await startCluster();
  });
  after(() => cluster.close());

  it('lists and watches all namespaces or one', async () => {
    const { api, create, kubernetes } = cluster;
    create('listed', 'ghcr.io/org/listed');
    const { signal } = new AbortController();
    const { items, resourceVersion } = await api.list(undefined, signal);
    assert.deepEqual(
      items.map(({ metadata }) => metadata.name),
      ['listed'],
    );
    assert.deepEqual((await api.list('default', signal)).items, []);
    create('watched', 'ghcr.io/org/watched');
    for await (const { type, object } of api.watch('flux-system', resourceVersion, signal)) {
      assert.deepEqual([type, object.metadata.name], ['ADDED', 'watched']);
      break;
    }
    assert.deepEqual(
      kubernetes.requests.map(({ verb }) => verb),
      ['list', 'list', 'watch'],
    );
  });

  it('patches object and status as its own field manager', async () => {
    const { api, create, kubernetes } = cluster;
    create('patched', 'ghcr.io/org/patched');
    const before = await api.get('flux-system', 'patched');
    assert.ok(before !== undefined);
    await api.patch(before, 'main', { metadata: { finalizers: ['finalizers.fluxcd.io'] } });
    const after = await api.patch(before, 'status', { status: { observedGeneration: 1 } });
    assert.deepEqual(after.metadata.finalizers, ['finalizers.fluxcd.io']);
    assert.equal(after.status?.observedGeneration, 1);
    const { managedFields = [] } = kubernetes.get('flux-system', 'patched')?.metadata ?? {};
    assert.deepEqual(
      managedFields
        .filter(({ manager }) => manager === 'image-reflector-controller')
        .map(({ subresource }) => subresource),
      [undefined, 'status'],
    );
  });

  it('tells what is gone from what is refused', async () => {
    const { api, kubernetes } = cluster;
    assert.equal(await api.get('flux-system', 'none'), undefined);
    const token = kubernetes.addUser({ name: 'nobody' });
    const nobody = new ApiClient({ apiServer: kubernetes.url, token });
    await assert.rejects(
      nobody.get('flux-system', 'none'),
      (error) => error instanceof ApiRefusal && error.status === 403,
    );
    await assert.rejects(
      nobody.watch(undefined, '1', new AbortController().signal).next(),
      (error) => error instanceof ApiRefusal && error.status === 403,
    );
  });
});
