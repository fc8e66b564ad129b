import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Rule } from '../stand-ins/kubernetes/access.ts';
import { startKubernetes } from '../stand-ins/kubernetes/kubernetes.ts';
import { leases } from '../stand-ins/kubernetes/resource.ts';
import type { Cluster, WrittenEvent, WrittenLease } from './cluster.ts';
import { bridgeFlows } from './flows.ts';
import { freshUid, imageRepository } from './objects.ts';

/** The stand-in as a cluster. */
async function startStandIn(): Promise<Cluster> {
  const folder = await mkdtemp(join(tmpdir(), 'flows-'));
  const kubernetes = await startKubernetes();
  const [kubeconfig, limitedKubeconfig] = [join(folder, 'admin'), join(folder, 'limited')];
  const limitedUser = 'limited';
  const token = kubernetes.addUser({ name: limitedUser });
  await kubernetes.kubeconfig(kubeconfig);
  await kubernetes.kubeconfig(limitedKubeconfig, token);
  const rules: Rule[] = [];
  const uids = new Map<string, string>();
  return {
    kubeconfig,
    limitedKubeconfig,
    limitedUser,
    grant: (rule) => {
      rules.push(rule);
      kubernetes.addUser({ name: limitedUser, rules: [...rules] }, token);
      return Promise.resolve();
    },
    put: (name, wanted = {}) => {
      const uid = uids.get(name) ?? freshUid();
      uids.set(name, uid);
      kubernetes.put(imageRepository(name, { ...wanted, uid }));
      return Promise.resolve();
    },
    remove: (name) => {
      uids.delete(name);
      kubernetes.remove('flux-system', name);
      return Promise.resolve();
    },
    halt: () => kubernetes.faults.halt(),
    resume: (history) => {
      // A version that no watch of ImageRepositories is told: what it knows last is an old one then.
      const metadata = { namespace: 'default', name: 'filler', uid: freshUid() };
      kubernetes.put(
        {
          ...imageRepository('filler'),
          metadata: { ...imageRepository('filler').metadata, ...metadata },
        },
        leases,
      );
      return kubernetes.faults.resume(history);
    },
    events: async () => {
      const response = await fetch(`${kubernetes.url}/api/v1/namespaces/flux-system/events`, {
        headers: { authorization: `Bearer ${kubernetes.adminToken}` },
      });
      return ((await response.json()) as { readonly items: readonly WrittenEvent[] }).items;
    },
    lease: (name) =>
      Promise.resolve(
        kubernetes.get('flux-system', name, leases)?.['spec'] as WrittenLease | undefined,
      ),
    close: async () => {
      await kubernetes.close();
      await rm(folder, { recursive: true });
    },
  };
}

bridgeFlows('the bridge at the stand-in', false, startStandIn);
