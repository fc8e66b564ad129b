import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';

import { parseAllDocuments } from 'yaml';

import { runTool } from '../../real/servers/tools.ts';
import type { Found } from '../../real/servers/found.ts';
import { ROOT } from '../scratch.ts';

/** A container as the manifests have it. */
export interface Container {
  readonly name: string;
  readonly image: string;
  readonly args: readonly string[];
  readonly env: readonly { readonly name: string; readonly value?: string }[];
  readonly envFrom: readonly { readonly configMapRef: { readonly name: string } }[];
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[];
  readonly securityContext: object;
}

/** What the tests read of a manifest. */
export interface Manifest {
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly data?: Readonly<Record<string, string>>;
  readonly rules?: readonly object[];
  readonly roleRef?: { readonly kind: string; readonly name: string };
  readonly subjects?: readonly object[];
  readonly spec?: {
    readonly replicas?: number;
    readonly template?: {
      readonly metadata: { readonly labels: Readonly<Record<string, string>> };
      readonly spec: {
        readonly serviceAccountName: string;
        readonly priorityClassName?: string;
        readonly nodeSelector?: Readonly<Record<string, string>>;
        readonly securityContext: object;
        readonly containers: readonly [Container];
      };
    };
  };
}

/** Overlays that a user installs, below `infra/kubernetes`. */
export const OVERLAYS = [
  'overlays/workload-identity',
  'overlays/workload-identity-service-account',
] as const;

/** Components that a user may add to an overlay. */
const COMPONENTS = [
  'components/priority-class',
  'components/pod-monitoring',
  'components/rules',
  'components/pod-monitor',
  'components/prometheus-rule',
] as const;

/** Where the manifests are. */
export const KUBERNETES = join(ROOT, 'infra/kubernetes');

/** What `kubectl kustomize` makes of a folder, as YAML. */
export async function kustomize(kubectl: Found, folder: string): Promise<string> {
  const { exitCode, stdout, stderr } = await runTool(kubectl, ['kustomize', folder]);
  // A deprecated field is a warning.
  assert.deepEqual({ exitCode, stderr }, { exitCode: 0, stderr: '' }, folder);
  return stdout.toString();
}

/** The manifests of a folder. */
export async function build(kubectl: Found, folder: string): Promise<readonly Manifest[]> {
  return parseAllDocuments(await kustomize(kubectl, folder)).map(
    (document) => document.toJS() as Manifest,
  );
}

/** The digest of an image that is set from above. */
export const DIGEST = `sha256:${'ab'.repeat(32)}`;

/** What `bridge_principals` and Terraform's outputs say, set in a kustomization above, as the README does. */
export const SETTINGS = { GOOGLE_CLOUD_PROJECT: 'my-project', CLUSTER_NAME: 'prod' };

/** A kustomization above a folder that sets image, project and cluster; returns its folder. */
export function setFromAbove(scratch: string, name: string, workload: string): string {
  const folder = join(scratch, 'above');
  mkdirSync(folder, { recursive: true });
  const env = Object.entries(SETTINGS).map(([key, value]) => ({ name: key, value }));
  const kustomization = {
    resources: [relative(folder, join(KUBERNETES, name))],
    images: [
      { name: 'imagerepo-mirror', newName: 'host/project/images/imagerepo-mirror', digest: DIGEST },
    ],
    patches: [
      {
        target: { kind: workload },
        patch: JSON.stringify({
          apiVersion: workload === 'Job' ? 'batch/v1' : 'apps/v1',
          kind: workload,
          metadata: { name: 'any' },
          spec: { template: { spec: { containers: [{ name: 'bridge', env }] } } },
        }),
      },
    ],
  };
  writeFileSync(join(folder, 'kustomization.yaml'), JSON.stringify(kustomization));
  return folder;
}

/** A kustomization in `scratch` that adds all components to an overlay; returns its folder. */
export function withComponents(scratch: string, overlay: string): string {
  const folder = join(scratch, overlay);
  mkdirSync(folder, { recursive: true });
  const kustomization = {
    resources: [relative(folder, join(KUBERNETES, overlay))],
    components: COMPONENTS.map((component) => relative(folder, join(KUBERNETES, component))),
  };
  // JSON is YAML.
  writeFileSync(join(folder, 'kustomization.yaml'), JSON.stringify(kustomization));
  return folder;
}
