import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { KUBERNETES, kustomize, OVERLAYS, withComponents } from '../infra/kubernetes/kustomize.ts';
import { ROOT, scratchFolder } from '../infra/scratch.ts';
import { required, skipUnless } from './servers/found.ts';
import {
  findKubeApiserver,
  startKubeApiserver,
  type KubeApiserver,
} from './servers/kube-apiserver.ts';
import { poll } from './servers/poll.ts';
import { findKubectl, runTool, type ToolAnswer } from './servers/tools.ts';

const apiserver = findKubeApiserver();
const search = findKubectl();

describe('a real kube-apiserver', { skip: skipUnless(apiserver, search) }, () => {
  let server: KubeApiserver;

  function kubectl(...args: readonly string[]): Promise<ToolAnswer> {
    return runTool(required(search), [...args, `--kubeconfig=${server.adminKubeconfig}`]);
  }

  /** Server-side dry run; unknown fields are refused. */
  function dryRun(file: string): Promise<ToolAnswer> {
    return kubectl('apply', '--server-side', '--dry-run=server', '--validate=strict', '-f', file);
  }

  async function install(file: string): Promise<void> {
    const { exitCode, stderr } = await kubectl('apply', '--server-side', '-f', file);
    assert.equal(exitCode, 0, stderr);
  }

  before(async () => {
    server = await startKubeApiserver(required(apiserver));
    for (const crds of ['test/data/pod-monitor-crds.yaml', 'infra/kubernetes/crd']) {
      const path = join(ROOT, crds);
      await install(path);
      const { exitCode, stderr } = await kubectl('wait', '--for=condition=Established', '-f', path);
      assert.equal(exitCode, 0, stderr);
    }
    // With it the Pod Security Standard that the namespace asks for.
    await install(join(KUBERNETES, 'base/namespace.yaml'));
  });
  after(() => server.stop());

  for (const folder of [...OVERLAYS, 'backfill']) {
    it(`accepts every manifest of ${folder}, without a warning`, async (t) => {
      const scratch = scratchFolder(t);
      const whole =
        folder === 'backfill' ? join(KUBERNETES, folder) : withComponents(scratch, folder);
      const yaml = await kustomize(required(search), whole);
      const file = join(scratch, 'manifests.yaml');
      writeFileSync(file, yaml);
      const { exitCode, stdout, stderr } = await dryRun(file);
      assert.deepEqual({ exitCode, stderr }, { exitCode: 0, stderr: '' });
      const accepted = stdout.toString().trim().split('\n');
      assert.equal(accepted.length, yaml.split(/^---$/m).length);
    });
  }

  it('lets the service account read and lead, and nothing beside', async (t) => {
    const [overlay] = OVERLAYS;
    const file = join(scratchFolder(t), 'manifests.yaml');
    writeFileSync(file, await kustomize(required(search), join(KUBERNETES, overlay)));
    await install(file);
    const asked = [
      ['watch', 'imagerepositories.image.toolkit.fluxcd.io', 'flux-system', 'yes'],
      ['create', 'events', 'flux-system', 'yes'],
      ['update', 'leases.coordination.k8s.io', 'imagerepo-mirror', 'yes'],
      ['update', 'leases.coordination.k8s.io', 'flux-system', 'no'],
      ['patch', 'imagerepositories.image.toolkit.fluxcd.io', 'flux-system', 'no'],
      ['get', 'secrets', 'imagerepo-mirror', 'no'],
    ] as const;
    for (const [verb, resource, namespace, expected] of asked) {
      // The server learns of a new binding by a watch of its own.
      await poll(`${expected} to ${verb} ${resource} in ${namespace}`, 10_000, async () => {
        const { stdout } = await kubectl(
          ...['auth', 'can-i', verb, resource, `--namespace=${namespace}`],
          '--as=system:serviceaccount:imagerepo-mirror:imagerepo-mirror-bridge',
        );
        return stdout.toString().trim() === expected ? expected : undefined;
      });
    }
  });

  it('warns of a container that is less restricted', async (t) => {
    const yaml = await kustomize(required(search), join(KUBERNETES, 'backfill'));
    const file = join(scratchFolder(t), 'manifests.yaml');
    writeFileSync(file, yaml.replace('runAsNonRoot: true', 'runAsNonRoot: false'));
    const { stderr } = await dryRun(file);
    assert.match(stderr, /PodSecurity/);
  });
});
