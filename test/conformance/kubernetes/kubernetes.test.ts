import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';

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

import { startKubernetes, type LocalKubernetes } from '../../stand-ins/kubernetes/kubernetes.ts';

import { ask, path, watch } from './client.ts';
import { repository, stored } from './fixtures.ts';

const repositories = {
  group: 'image.toolkit.fluxcd.io',
  version: 'v1',
  namespace: 'flux-system',
  plural: 'imagerepositories',
} as const;
const all = '/apis/image.toolkit.fluxcd.io/v1/imagerepositories';

interface Seen {
  readonly type: string;
  readonly name: string | undefined;
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
      all,
      { resourceVersion: String(kubernetes.resourceVersion) },
      (type, object: { metadata?: { name?: string } }) => {
        seen.push({ type, name: object.metadata?.name });
        if (seen.length === 2) enough.resolve(undefined);
      },
      resolve,
    );
    kubernetes.create(repository('two'));
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

describe('the faults of the Kubernetes stand-in', () => {
  let kubernetes: LocalKubernetes;
  beforeEach(async () => {
    kubernetes = await startKubernetes();
  });
  afterEach(() => kubernetes.close());

  it('end watches, or cut them', async () => {
    const ended = await watch(kubernetes);
    kubernetes.faults.dropWatches('end');
    assert.equal(await ended.next(), undefined);
    const cut = await watch(kubernetes);
    kubernetes.faults.dropWatches('cut');
    await assert.rejects(cut.next());
  });

  it('silence watches that stay open', async () => {
    const silent = await watch(kubernetes);
    kubernetes.faults.silenceWatches();
    const talking = await watch(kubernetes, `resourceVersion=${kubernetes.resourceVersion}`);
    kubernetes.put(stored('a'));
    await talking.events(1);
    assert.equal(kubernetes.openWatches, 2);
    kubernetes.faults.dropWatches('end');
    assert.equal(await silent.next(), undefined);
  });

  it('write what is no event', async () => {
    const open = await watch(kubernetes);
    kubernetes.faults.writeToWatches('{"type":"ADDED","object":\n');
    kubernetes.faults.writeToWatches('{"type":"ADDED","object":{"metadata":{}}}\n');
    assert.equal(await open.next(), '{"type":"ADDED","object":');
    assert.equal((await open.events(1))[0]?.object.metadata.name, undefined);
    await open.close();
  });

  it('expire watches, and history for those that begin before', async () => {
    const open = await watch(kubernetes);
    kubernetes.faults.expireWatches();
    const [error] = await open.events(1);
    assert.deepEqual([error?.type, error?.object.code], ['ERROR', 410]);
    assert.equal(await open.next(), undefined);
  });

  it('send a bookmark at once', async () => {
    const open = await watch(kubernetes, 'allowWatchBookmarks=true');
    await open.events(1);
    kubernetes.put(stored('a'));
    kubernetes.faults.bookmark();
    const [added, bookmark] = await open.events(2);
    assert.deepEqual([added?.type, bookmark?.type], ['ADDED', 'BOOKMARK']);
    await open.close();
  });

  it('take the CustomResourceDefinition away and bring it back', async () => {
    kubernetes.put(stored('a'));
    const open = await watch(kubernetes, `resourceVersion=${kubernetes.resourceVersion}`);
    kubernetes.faults.setCrd(false);
    assert.deepEqual((await open.events(1))[0]?.type, 'DELETED');
    assert.equal(await open.next(), undefined);
    const group = '/apis/image.toolkit.fluxcd.io';
    for (const target of [path, group, `${group}/v1`]) {
      assert.equal((await ask(kubernetes, 'GET', target)).status, 404);
    }
    kubernetes.faults.setCrd(true);
    const list = (await (await ask(kubernetes, 'GET', path)).json()) as { readonly items: object };
    assert.deepEqual(list.items, []);
  });

  it('meet requests with statuses, delays, silence and cut connections', async () => {
    const { faults } = kubernetes;
    faults.request({ verbs: ['list'], answer: 429, retryAfterSeconds: 1 });
    const refused = await ask(kubernetes, 'GET', path);
    assert.deepEqual([refused.status, refused.headers.get('retry-after')], [429, '1']);
    assert.equal((await ask(kubernetes, 'GET', path)).status, 200);
    faults.request({ answer: 'reset' });
    await assert.rejects(ask(kubernetes, 'GET', path));
    faults.request({ delayMs: 30 });
    const started = performance.now();
    assert.equal((await ask(kubernetes, 'GET', path)).status, 200);
    assert.ok(performance.now() - started >= 29);
    faults.request({ answer: 'hang' });
    const hanging = ask(kubernetes, 'GET', path);
    faults.request({ verbs: ['list'], answer: 500 });
    assert.equal((await ask(kubernetes, 'GET', path)).status, 500);
    await kubernetes.faults.halt();
    await assert.rejects(hanging);
  });

  it('restart it on the same port with its objects, and with or without the history', async () => {
    const since = `resourceVersion=${kubernetes.resourceVersion}`;
    kubernetes.put(stored('a'));
    for (const [history, type] of [
      ['keep', 'ADDED'],
      ['forget', 'ERROR'],
    ] as const) {
      const open = await watch(kubernetes);
      await open.events(1);
      await kubernetes.faults.halt();
      await assert.rejects(open.next());
      await assert.rejects(ask(kubernetes, 'GET', path));
      await kubernetes.faults.resume(history);
      const again = await watch(kubernetes, since);
      assert.equal((await again.events(1))[0]?.type, type);
      await again.close();
      assert.ok(kubernetes.get('flux-system', 'a'));
    }
  });

  it('move its clock, so that tokens expire and times jump', async () => {
    let nowMs = Date.parse('2026-01-01T00:00:00Z');
    const clocked = await startKubernetes({ nowMs: () => nowMs });
    try {
      const token = clocked.addUser({ name: 'u', expiresAtMs: nowMs + 1000 });
      assert.equal((await ask(clocked, 'GET', '/version', undefined, token)).status, 200);
      nowMs += 1000;
      assert.equal((await ask(clocked, 'GET', '/version', undefined, token)).status, 401);
      const { metadata } = clocked.create(repository('late'));
      assert.equal(metadata.creationTimestamp, '2026-01-01T00:00:01Z');
    } finally {
      await clocked.close();
    }
  });

  it('keep up with 200 changes a second of 2,000 objects for several watchers', async () => {
    for (let index = 0; index < 2000; index += 1) kubernetes.put(stored(`object-${index}`));
    const since = `resourceVersion=${kubernetes.resourceVersion}`;
    const open = await Promise.all(Array.from({ length: 3 }, () => watch(kubernetes, since)));
    for (let index = 0; index < 200; index += 1) {
      kubernetes.put(stored(`object-${index}`, { labels: { moved: 'yes' } }));
    }
    const seen = await Promise.all(open.map((each) => each.events(200)));
    assert.ok(seen.every((events) => events.every(({ type }) => type === 'MODIFIED')));
    await Promise.all(open.map((each) => each.close()));
    await kubernetes.drained();
  });
});
