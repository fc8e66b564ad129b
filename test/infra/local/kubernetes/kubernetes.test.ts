import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import {
  ApiException,
  CoordinationV1Api,
  CoreV1Api,
  CustomObjectsApi,
  EventsV1Api,
  EventsV1Event,
  KubeConfig,
  V1Lease,
  V1MicroTime,
  V1ObjectMeta,
  Watch,
} from '@kubernetes/client-node';

import {
  startKubernetes,
  type LocalKubernetes,
} from '../../../../infra/local/kubernetes/kubernetes.ts';

const repositories = {
  group: 'image.toolkit.fluxcd.io',
  version: 'v1',
  namespace: 'flux-system',
  plural: 'imagerepositories',
} as const;
const path = '/apis/image.toolkit.fluxcd.io/v1/imagerepositories';

interface Seen {
  readonly type: string;
  readonly name: string | undefined;
}

function repository(name: string, image = `ghcr.io/org/${name}`): object {
  return {
    apiVersion: 'image.toolkit.fluxcd.io/v1',
    kind: 'ImageRepository',
    metadata: { name, namespace: 'flux-system' },
    spec: { image, interval: '1m' },
  };
}

function leaseOf(holderIdentity: string, resourceVersion?: string): V1Lease {
  return Object.assign(new V1Lease(), {
    metadata: {
      name: 'leader',
      namespace: 'flux-system',
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
    },
    spec: { holderIdentity, renewTime: new V1MicroTime(), leaseDurationSeconds: 15 },
  });
}

describe('the Kubernetes stand-in and the real client', () => {
  let kubernetes: LocalKubernetes;
  let config: KubeConfig;
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'kubernetes-'));
    kubernetes = await startKubernetes();
    const file = join(folder, 'kubeconfig');
    await kubernetes.kubeconfig(file);
    config = new KubeConfig();
    config.loadFromFile(file);
  });
  after(async () => {
    await kubernetes.close();
    await rm(folder, { recursive: true });
  });

  it('creates, reads, lists and deletes a custom object', async () => {
    const api = config.makeApiClient(CustomObjectsApi);
    await api.createNamespacedCustomObject({ ...repositories, body: repository('one') });
    const one = (await api.getNamespacedCustomObject({ ...repositories, name: 'one' })) as {
      readonly metadata: { readonly generation: number };
      readonly spec: object;
      readonly status: object;
    };
    assert.equal(one.metadata.generation, 1);
    assert.deepEqual(one.spec, {
      image: 'ghcr.io/org/one',
      interval: '1m',
      exclusionList: ['^.*\\.sig$'],
      provider: 'generic',
    });
    assert.deepEqual(one.status, { observedGeneration: -1 });
    await api.deleteNamespacedCustomObject({ ...repositories, name: 'one' });
    await assert.rejects(
      api.getNamespacedCustomObject({ ...repositories, name: 'one' }),
      (error) => error instanceof ApiException && error.code === 404,
    );
  });

  it('tells a watch of changes', async () => {
    const seen: Seen[] = [];
    const { promise, resolve } = Promise.withResolvers<unknown>();
    const enough = Promise.withResolvers<undefined>();
    const controller = await new Watch(config).watch(
      path,
      { resourceVersion: String(kubernetes.resourceVersion) },
      (type, object: { metadata?: { name?: string } }) => {
        seen.push({ type, name: object.metadata?.name });
        if (seen.length === 2) enough.resolve(undefined);
      },
      resolve,
    );
    kubernetes.create(repository('two') as Record<string, unknown>);
    kubernetes.remove('flux-system', 'two');
    await enough.promise;
    controller.abort();
    await promise;
    assert.deepEqual(seen, [
      { type: 'ADDED', name: 'two' },
      { type: 'DELETED', name: 'two' },
    ]);
  });

  it('makes and renews a Lease, and refuses a stale one', async () => {
    const api = config.makeApiClient(CoordinationV1Api);
    const name = { name: 'leader', namespace: 'flux-system' };
    const made = await api.createNamespacedLease({
      namespace: 'flux-system',
      body: leaseOf('a'),
    });
    const resourceVersion = made.metadata?.resourceVersion;
    await api.replaceNamespacedLease({ ...name, body: leaseOf('b', resourceVersion) });
    await assert.rejects(
      api.replaceNamespacedLease({ ...name, body: leaseOf('c', resourceVersion) }),
      (error) => error instanceof ApiException && error.code === 409,
    );
    const lease = await api.readNamespacedLease(name);
    assert.equal(lease.spec?.holderIdentity, 'b');
  });

  it('keeps an Event that both groups show', async () => {
    const metadata = new V1ObjectMeta();
    metadata.name = 'said';
    metadata.namespace = 'flux-system';
    const event = Object.assign(new EventsV1Event(), {
      metadata,
      eventTime: new V1MicroTime(),
      reportingController: 'imagerepo-mirror',
      reportingInstance: 'one',
      action: 'Publish',
      reason: 'Refused',
      type: 'Warning',
      note: 'two objects, one destination',
      regarding: { kind: 'ImageRepository', namespace: 'flux-system', name: 'one' },
    });
    await config
      .makeApiClient(EventsV1Api)
      .createNamespacedEvent({ namespace: 'flux-system', body: event });
    const { items } = await config
      .makeApiClient(CoreV1Api)
      .listNamespacedEvent({ namespace: 'flux-system', fieldSelector: 'reason=Refused' });
    assert.deepEqual(
      items.map(({ message, involvedObject }) => [message, involvedObject.name]),
      [['two objects, one destination', 'one']],
    );
  });
});
