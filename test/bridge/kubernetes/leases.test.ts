import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { connectApiServer, type ApiServer } from '../../../bridge/kubernetes/api-server.ts';
import { leaseStore, type LeaseRecord } from '../../../bridge/kubernetes/leases.ts';
import { rejection } from '../../faults.ts';
import { startStandIns, type StandIns } from '../stand-ins.ts';

const fresh: LeaseRecord = {
  holderIdentity: 'host_1',
  leaseDurationSeconds: 35,
  acquireTime: '2026-08-10T09:00:00.000000Z',
  renewTime: '2026-08-10T09:00:00.000000Z',
  leaseTransitions: 0,
};

describe('leaseStore', () => {
  let standIns: StandIns;
  let apiServer: ApiServer;
  before(async () => {
    standIns = await startStandIns();
    apiServer = connectApiServer(standIns.kubeconfig);
  });
  after(async () => {
    apiServer.close();
    await standIns.close();
  });

  it('finds none, makes one and reads it back', async () => {
    const store = leaseStore(apiServer, 'flux-system', 'one', 5000);
    assert.equal(await store.read(), undefined);
    const made = await store.write(fresh);
    const read = await store.read();
    assert.deepEqual(read, made);
    const { lease: _lease, ...words } = read ?? assert.fail('no Lease');
    assert.deepEqual(words, fresh);
  });

  it('lets the faster of two writers win', async () => {
    const store = leaseStore(apiServer, 'flux-system', 'two', 5000);
    assert.ok((await store.write(fresh)) !== undefined);
    assert.equal(await store.write(fresh), undefined);
    const read = (await store.read()) ?? assert.fail('no Lease');
    const renewed = await store.write({ ...read, holderIdentity: 'host_2' });
    assert.equal(renewed?.holderIdentity, 'host_2');
    assert.equal(await store.write({ ...read, holderIdentity: 'host_3' }), undefined);
    assert.equal((await store.read())?.holderIdentity, 'host_2');
  });

  it('takes one that was deleted since for a faster writer, and no missing namespace', async () => {
    const store = leaseStore(apiServer, 'flux-system', 'two', 5000);
    const read = (await store.read()) ?? assert.fail('no Lease');
    for (const verb of ['update', 'create']) {
      standIns.kubernetes.faults.request({ resource: 'leases', verbs: [verb], answer: 404 });
    }
    assert.equal(await store.write(read), undefined);
    await rejection(store.write(fresh), 'NOT_FOUND');
  });

  it('reads a Lease that says nothing for one that nobody holds', async () => {
    const folder = '/apis/coordination.k8s.io/v1/namespaces/flux-system/leases';
    const bare = {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name: 'bare' },
    };
    assert.equal((await apiServer.send('POST', folder, bare)).status, 201);
    const read = await leaseStore(apiServer, 'flux-system', 'bare', 5000).read();
    const { lease: _lease, ...words } = read ?? assert.fail('no Lease');
    const times = { acquireTime: '', renewTime: '' };
    assert.deepEqual(words, {
      ...{ holderIdentity: '', leaseDurationSeconds: 0, ...times, leaseTransitions: 0 },
    });
  });

  it('keeps what it does not know of a foreign Lease when it takes it over', async () => {
    const folder = '/apis/coordination.k8s.io/v1/namespaces/flux-system/leases';
    const foreign = {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: {
        name: 'foreign',
        labels: { owner: 'other' },
        annotations: { 'example.com/note': 'kept' },
      },
      spec: {
        holderIdentity: 'other',
        preferredHolder: 'other',
        strategy: 'OldestEmulationVersion',
      },
    };
    assert.equal((await apiServer.send('POST', folder, foreign)).status, 201);
    const store = leaseStore(apiServer, 'flux-system', 'foreign', 5000);
    const read = (await store.read()) ?? assert.fail('no Lease');
    const taken = await store.write({ ...read, ...fresh });
    assert.equal(taken?.holderIdentity, 'host_1');
    const { body } = await apiServer.send('GET', `${folder}/foreign`);
    const { metadata, spec } = body as typeof foreign;
    assert.deepEqual(metadata.labels, foreign.metadata.labels);
    assert.deepEqual(metadata.annotations, foreign.metadata.annotations);
    assert.equal(spec.preferredHolder, 'other');
    assert.equal(spec.strategy, 'OldestEmulationVersion');
    assert.equal(spec.holderIdentity, 'host_1');
  });

  it('says who may not do what', async () => {
    const poor = connectApiServer(await standIns.userConfig('nobody'));
    const store = leaseStore(poor, 'flux-system', 'one', 5000);
    const read = await rejection(store.read(), 'ACCESS_DENIED');
    assert.match(read.message, /nobody.*leases/);
    for (const [record, verb] of [
      [fresh, 'create'],
      [{ ...fresh, lease: {} }, 'update'],
    ] as const) {
      const { message } = await rejection(store.write(record), 'ACCESS_DENIED');
      assert.ok(message.startsWith(`${verb} Lease flux-system/one was answered 403`), message);
    }
    poor.close();
  });

  it('waits no longer than it may', async () => {
    const lift = standIns.kubernetes.faults.request({ resource: 'leases', answer: 'hang' });
    const store = leaseStore(apiServer, 'flux-system', 'one', 50);
    await rejection(store.read(), 'TIMEOUT');
    lift();
  });
});
