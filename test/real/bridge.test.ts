import assert from 'node:assert/strict';

import type { Cluster, WrittenEvent, WrittenLease } from '../bridge/cluster.ts';
import { bridgeFlows } from '../bridge/flows.ts';
import { imageRepository, type Wanted } from '../bridge/objects.ts';
import { required, skipUnless } from './servers/found.ts';
import { askKubeApi, type KubeAnswer, type KubeMethod } from '../stand-ins/kubernetes/client.ts';
import {
  findKubeApiserver,
  grant,
  installCrd,
  make,
  startKubeApiserver,
} from './servers/kube-apiserver.ts';

const search = findKubeApiserver();
const objects = '/apis/image.toolkit.fluxcd.io/v1/namespaces/flux-system/imagerepositories';

/** A real API server as a cluster, with our CRD and the namespace flux-system. */
async function startReal(): Promise<Cluster> {
  const server = await startKubeApiserver(required(search));
  const ask = (method: KubeMethod, path: string, body?: object): Promise<KubeAnswer> =>
    askKubeApi(server.admin, method, path, body);
  await installCrd(server);
  await make(server.admin, '/api/v1/namespaces', { metadata: { name: 'flux-system' } });
  let roles = 0;
  let fillers = 0;
  return {
    kubeconfig: server.adminKubeconfig,
    limitedKubeconfig: server.restrictedKubeconfig,
    limitedUser: 'restricted',
    grant: (rule) => grant(server, `bridge-${(roles += 1)}`, rule),
    put: (name, wanted) => put(ask, name, wanted),
    async remove(name) {
      assert.equal((await ask('DELETE', `${objects}/${name}`)).status, 200);
    },
    async halt() {
      // Versions that no watch of ImageRepositories is told: what it knows last is an old one then.
      for (let count = 0; count < 3; count += 1) {
        const name = `filler-${(fillers += 1)}`;
        await make(server.admin, '/api/v1/namespaces/default/configmaps', { metadata: { name } });
      }
      await server.halt();
    },
    async resume(history) {
      if (history === 'forget') await server.compact();
      await server.restart();
    },
    async events() {
      const { body } = await ask('GET', '/api/v1/namespaces/flux-system/events');
      return (body as { readonly items: readonly WrittenEvent[] }).items;
    },
    async lease(name) {
      const path = `/apis/coordination.k8s.io/v1/namespaces/flux-system/leases/${name}`;
      return ((await ask('GET', path)).body as { readonly spec?: WrittenLease }).spec;
    },
    close: () => server.stop(),
  };
}

/** Writes metadata and spec, then the status as a merge patch of the subresource, as Flux does. */
async function put(
  ask: (method: KubeMethod, path: string, body?: object) => Promise<KubeAnswer>,
  name: string,
  wanted: Wanted = {},
): Promise<void> {
  const { metadata, status, ...rest } = imageRepository(name, wanted);
  const { annotations, labels } = metadata;
  const path = `${objects}/${name}`;
  const existing = await ask('GET', path);
  const found = existing.status === 200;
  const { resourceVersion } =
    (
      (existing.body ?? {}) as typeof rest & {
        readonly metadata?: { readonly resourceVersion?: string };
      }
    ).metadata ?? {};
  const written = { name, annotations, labels, ...(found ? { resourceVersion } : {}) };
  const body = { ...rest, metadata: written };
  const answer = found ? await ask('PUT', path, body) : await ask('POST', objects, body);
  assert.ok(answer.status === 200 || answer.status === 201, JSON.stringify(answer.body));
  const patched = await ask('PATCH', `${path}/status`, { status });
  assert.equal(patched.status, 200, JSON.stringify(patched.body));
}

bridgeFlows('the bridge at a real kube-apiserver', skipUnless(search), startReal);
