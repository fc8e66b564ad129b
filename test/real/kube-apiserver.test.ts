import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';

import { required, skipUnless } from './servers/found.ts';
import { askKubeApi, watchKubeApi, type KubeAccess, type WatchEvent } from './servers/kube-api.ts';
import {
  findKubeApiserver,
  startKubeApiserver,
  type KubeApiserver,
} from './servers/kube-apiserver.ts';

interface Listed {
  readonly metadata: { readonly resourceVersion: string };
  readonly items: readonly { readonly metadata: { readonly name: string } }[];
}

const search = findKubeApiserver();
const configMaps = '/api/v1/namespaces/default/configmaps';

describe('a real kube-apiserver', { skip: skipUnless(search) }, () => {
  let server: KubeApiserver;
  before(async () => {
    server = await startKubeApiserver(required(search));
  });
  after(() => server.stop());

  it('lists namespaces for its admin', async () => {
    const names = (await list(server.admin, '/api/v1/namespaces')).items.map(
      ({ metadata }) => metadata.name,
    );
    assert.ok(names.includes('default'), names.join());
  });

  it('denies the restricted user until a role is bound to it', async () => {
    assert.equal((await askKubeApi(server.restricted, 'GET', configMaps)).status, 403);
    const roles = '/apis/rbac.authorization.k8s.io/v1/namespaces/default';
    await create(server.admin, `${roles}/roles`, {
      metadata: { name: 'reader' },
      rules: [{ apiGroups: [''], resources: ['configmaps'], verbs: ['list'] }],
    });
    await create(server.admin, `${roles}/rolebindings`, {
      metadata: { name: 'reader' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'reader' },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'restricted' }],
    });
    // The authorizer learns of a binding through a watch of its own.
    let status = 403;
    for (let tries = 0; status === 403 && tries < 100; tries += 1) {
      ({ status } = await askKubeApi(server.restricted, 'GET', configMaps));
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    assert.equal(status, 200);
  });

  it('refuses an unknown token', async () => {
    const stranger: KubeAccess = { ...server.admin, token: 'stranger' };
    assert.equal((await askKubeApi(stranger, 'GET', configMaps)).status, 401);
  });

  it('writes kubeconfig files that name the server and the user', async () => {
    for (const [path, user] of [
      [server.adminKubeconfig, 'admin'],
      [server.restrictedKubeconfig, 'restricted'],
    ] as const) {
      const kubeconfig = JSON.parse(await readFile(path, 'utf8')) as {
        clusters: { cluster: { server: string } }[];
        users: { name: string }[];
      };
      assert.equal(kubeconfig.clusters[0]?.cluster.server, server.admin.url);
      assert.equal(kubeconfig.users[0]?.name, user);
    }
  });

  it('tells a watch of a change', async () => {
    const { resourceVersion } = (await list(server.admin, configMaps)).metadata;
    const event = firstEvent(server.admin, resourceVersion);
    await createConfigMap(server.admin, 'watched');
    const { type, object } = await event;
    assert.deepEqual([type, object.metadata?.name], ['ADDED', 'watched']);
  });

  it('keeps its address, its tokens and its objects over a restart, and forgets old resourceVersions', async () => {
    await createConfigMap(server.admin, 'kept');
    const { resourceVersion } = await compactBehind(server);

    await server.halt();
    await assert.rejects(askKubeApi(server.admin, 'GET', configMaps));
    await server.restart();

    const names = (await list(server.admin, configMaps)).items.map(({ metadata }) => metadata.name);
    assert.ok(names.includes('kept'), names.join());
    const { type, object } = await firstEvent(server.admin, resourceVersion);
    assert.deepEqual([type, object.code, object.reason], ['ERROR', 410, 'Expired']);
  });
});

describe('a real kube-apiserver without its watch cache', { skip: skipUnless(search) }, () => {
  let server: KubeApiserver;
  before(async () => {
    server = await startKubeApiserver(required(search), { watchCache: false });
  });
  after(() => server.stop());

  it('answers 410 to a watch from a resourceVersion that etcd has compacted', async () => {
    const { resourceVersion } = await compactBehind(server);
    const { type, object } = await firstEvent(server.admin, resourceVersion);
    assert.deepEqual([type, object.code, object.reason], ['ERROR', 410, 'Expired']);
  });

  it('answers 410 to a list at a resourceVersion that etcd has compacted', async () => {
    const { resourceVersion } = await compactBehind(server);
    const path = `${configMaps}?resourceVersion=${resourceVersion}&resourceVersionMatch=Exact`;
    assert.equal((await askKubeApi(server.admin, 'GET', path)).status, 410);
  });

  it('answers a watch from a resourceVersion that is not compacted', async () => {
    await compactBehind(server);
    const { resourceVersion } = (await list(server.admin, configMaps)).metadata;
    await createConfigMap(server.admin, `after-${resourceVersion}`);
    assert.equal((await firstEvent(server.admin, resourceVersion)).type, 'ADDED');
  });
});

/** A resourceVersion that was the newest until objects were made, and that etcd has forgotten since. */
async function compactBehind(server: KubeApiserver): Promise<{ readonly resourceVersion: string }> {
  const { resourceVersion } = (await list(server.admin, configMaps)).metadata;
  await createConfigMap(server.admin, `one-${resourceVersion}`);
  await createConfigMap(server.admin, `two-${resourceVersion}`);
  await server.compact();
  return { resourceVersion };
}

async function list(access: KubeAccess, path: string): Promise<Listed> {
  const { status, body } = await askKubeApi(access, 'GET', path);
  assert.equal(status, 200);
  return body as Listed;
}

async function create(access: KubeAccess, path: string, object: object): Promise<void> {
  const { status, body } = await askKubeApi(access, 'POST', path, object);
  assert.equal(status, 201, JSON.stringify(body));
}

function createConfigMap(access: KubeAccess, name: string): Promise<void> {
  return create(access, configMaps, { metadata: { name } });
}

async function firstEvent(access: KubeAccess, resourceVersion: string): Promise<WatchEvent> {
  const path = `${configMaps}?watch=1&timeoutSeconds=20&resourceVersion=${resourceVersion}`;
  for await (const event of watchKubeApi(access, path)) return event;
  throw new Error('the watch ended without an event');
}
