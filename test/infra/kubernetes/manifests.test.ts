import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';

import { readConfig, type BridgeConfig } from '../../../bridge/config.ts';
import { BRIDGE_METRICS } from '../../../bridge/metrics.ts';
import { bridgeOptions } from '../../../bridge/options.ts';
import type { OptionTable } from '../../../functions/options/option.ts';
import { required, skipUnless } from '../../real/servers/found.ts';
import { findKubectl } from '../../real/servers/tools.ts';
import { requireKnown } from '../names.ts';
import { scratchFolder } from '../scratch.ts';
import { evaluatePromql, type Series } from '../terraform/promql.ts';
import {
  build,
  DIGEST,
  KUBERNETES,
  OVERLAYS,
  SETTINGS,
  setFromAbove,
  withComponents,
  type Container,
  type Manifest,
} from './kustomize.ts';

const search = findKubectl();
const table: OptionTable = bridgeOptions;
const known = [
  ...Object.values(table).flatMap(({ env }) => (env === undefined ? [] : [env])),
  // Read by glibc.
  'MALLOC_ARENA_MAX',
  // Read by Google's authentication library.
  'METADATA_SERVER_DETECTION',
];

function builtFolder(name: string): Promise<readonly Manifest[]> {
  return build(required(search), join(KUBERNETES, name));
}

function only(manifests: readonly Manifest[], kind: string): Manifest {
  const [found, ...more] = manifests.filter((manifest) => manifest.kind === kind);
  assert.ok(found !== undefined && more.length === 0, `one ${kind}`);
  return found;
}

function podOf(workload: Manifest) {
  assert.ok(workload.spec?.template);
  return workload.spec.template;
}

/** The variables that the container's ConfigMap sets. */
function settingsOf(
  manifests: readonly Manifest[],
  container: Container,
): Readonly<Record<string, string>> {
  const configMap = only(manifests, 'ConfigMap');
  assert.deepEqual(container.envFrom, [{ configMapRef: { name: configMap.metadata.name } }]);
  return configMap.data ?? {};
}

/** What the bridge reads when it is started as a manifest says. */
function configOf(manifests: readonly Manifest[], kind: string): BridgeConfig {
  const [container] = podOf(only(manifests, kind)).spec.containers;
  const [script, ...args] = container.args;
  assert.equal(script, '/app/bridge.js');
  const settings: Record<string, string> = { ...settingsOf(manifests, container) };
  for (const { name, value } of container.env) if (value !== undefined) settings[name] = value;
  const names = [...Object.keys(settings), ...container.env.map(({ name }) => name)];
  requireKnown(names, known);
  const detection = container.env.find(({ name }) => name === 'METADATA_SERVER_DETECTION');
  assert.equal(detection?.value, 'assume-present');
  // Kubernetes puts values for $(NAME), and leaves it as it is where there is none.
  const expanded = args.map((argument) =>
    argument.replace(/\$\((\w+)\)/g, (whole, name: string) => settings[name] ?? whole),
  );
  // Throws on a flag or a value that it does not take.
  return readConfig(expanded, { ...settings, KUBERNETES_SERVICE_HOST: '10.0.0.1' });
}

/** What a folder becomes where image, project and cluster are set above it. */
function builtFromAbove(t: TestContext, name: string, kind: string): Promise<readonly Manifest[]> {
  return build(required(search), setFromAbove(scratchFolder(t), name, kind));
}

interface Rule {
  readonly alert: string;
  readonly expr: string;
}

/** The rules of the bridge's own metrics, and the manifests that they are among. */
async function rulesOf(
  t: TestContext,
): Promise<{ readonly manifests: readonly Manifest[]; readonly rules: readonly Rule[] }> {
  const [overlay] = OVERLAYS;
  const manifests = await build(required(search), withComponents(scratchFolder(t), overlay));
  const { groups } = only(manifests, 'Rules').spec as unknown as {
    readonly groups: readonly { readonly rules: readonly Rule[] }[];
  };
  return { manifests, rules: groups.flatMap((group) => group.rules) };
}

function figure(value: number, labels: Series['labels'] = {}): Series {
  return { labels, value };
}

/** Whether a replica leads the shard of this suffix. */
function leading(shard: string, value: number): Series {
  return figure(value, { name: `imagerepo-mirror-leader-election${shard}` });
}

/** Two replicas in the middle of a long replay: by the names of BRIDGE_METRICS. */
const HEALTHY_BRIDGE: Readonly<Record<string, readonly Series[]>> = {
  leader: [leading('', 1), leading('', 0)],
  oldestUnpublished: [figure(900), figure(0)],
  publishFailures: [figure(0)],
  watchSynced: [figure(1), figure(1)],
  refusedObjects: [figure(0)],
};

describe('Kubernetes manifests', { skip: skipUnless(search) }, () => {
  for (const overlay of OVERLAYS) {
    it(`start the bridge of ${overlay} with options that it has`, async (t) => {
      const manifests = await builtFromAbove(t, overlay, 'Deployment');
      const config = configOf(manifests, 'Deployment');
      assert.equal(config.enableLeaderElection, true);
      assert.equal(config.once, false);
      assert.equal(config.project, 'my-project');
      assert.equal(config.clusterName, 'prod');
      assert.equal(config.topic, 'imagerepo-mirror-events');
      assert.equal(config.bulkTopic, 'imagerepo-mirror-bulk');
      assert.equal(
        podOf(only(manifests, 'Deployment')).spec.containers[0].image,
        `host/project/images/imagerepo-mirror@${DIGEST}`,
        'the image that is set above applies',
      );
    });
  }

  for (const [folder, kind] of [
    ...OVERLAYS.map((overlay) => [overlay, 'Deployment'] as const),
    ['backfill', 'Job'] as const,
  ]) {
    for (const name of Object.keys(SETTINGS) as (keyof typeof SETTINGS)[]) {
      it(`stop the start of ${folder} where ${name} is not set, with its name`, async (t) => {
        const manifests = await builtFromAbove(t, folder, kind);
        const { env } = podOf(only(manifests, kind)).spec.containers[0];
        (env as { name: string }[]).splice(
          env.findIndex((each) => each.name === name),
          1,
        );
        assert.throws(() => configOf(manifests, kind), new RegExp(`\\$\\(${name}\\)`));
      });
    }

    it(`have no image, project or cluster of their own in ${folder}`, async () => {
      const manifests = await builtFolder(folder);
      const text = JSON.stringify(manifests);
      assert.doesNotMatch(text, /my-project|"prod"|sha256:0/);
      assert.equal(podOf(only(manifests, kind)).spec.containers[0].image, 'imagerepo-mirror:unset');
      assert.deepEqual(podOf(only(manifests, kind)).spec.nodeSelector, {
        'kubernetes.io/os': 'linux',
        'kubernetes.io/arch': 'amd64',
      });
    });
  }

  for (const overlay of OVERLAYS) {
    it(`grant ${overlay} what the bridge needs and no more`, async () => {
      const manifests = await builtFolder(overlay);
      const rules = manifests
        .filter(({ kind }) => kind.endsWith('Role'))
        .map(({ kind, rules: granted }) => ({ kind, granted }));
      assert.deepEqual(rules, [
        {
          kind: 'Role',
          granted: [
            {
              apiGroups: ['coordination.k8s.io'],
              resources: ['leases'],
              verbs: ['get', 'create', 'update', 'patch'],
            },
          ],
        },
        {
          kind: 'ClusterRole',
          granted: [
            {
              apiGroups: ['image.toolkit.fluxcd.io'],
              resources: ['imagerepositories'],
              verbs: ['get', 'list', 'watch'],
            },
            { apiGroups: [''], resources: ['events'], verbs: ['create', 'patch'] },
          ],
        },
      ]);
      const account = only(manifests, 'ServiceAccount').metadata;
      assert.equal(podOf(only(manifests, 'Deployment')).spec.serviceAccountName, account.name);
      for (const kind of ['Role', 'ClusterRole']) {
        const binding = only(manifests, `${kind}Binding`);
        assert.equal(binding.roleRef?.kind, kind);
        assert.equal(binding.roleRef.name, only(manifests, kind).metadata.name);
        assert.deepEqual(binding.subjects, [
          { kind: 'ServiceAccount', name: account.name, namespace: 'imagerepo-mirror' },
        ]);
      }
    });
  }

  it('run two replicas, and the ports that the options have by default', async () => {
    const deployment = only(await builtFolder('base'), 'Deployment');
    assert.equal(deployment.spec?.replicas, 2);
    const [container] = podOf(deployment).spec.containers;
    assert.deepEqual(
      container.ports?.map(({ name, containerPort }) => [name, `:${containerPort}`]),
      [
        ['http-prom', bridgeOptions.metricsAddr.default],
        ['healthz', bridgeOptions.healthAddr.default],
      ],
    );
  });

  it('annotate the service account in one overlay alone', async () => {
    const annotations = await Promise.all(
      OVERLAYS.map(
        async (overlay) => only(await builtFolder(overlay), 'ServiceAccount').metadata.annotations,
      ),
    );
    assert.deepEqual(annotations, [
      undefined,
      {
        'iam.gke.io/gcp-service-account': 'unset@unset.iam.gserviceaccount.com',
      },
    ]);
  });

  it('run the backfill once, as the bridge itself', async (t) => {
    const backfill = await builtFromAbove(t, 'backfill', 'Job');
    const [overlay] = OVERLAYS;
    const bridge = await builtFromAbove(t, overlay, 'Deployment');
    const config = configOf(backfill, 'Job');
    assert.equal(config.once, true);
    assert.deepEqual(
      { ...config, once: false, enableLeaderElection: true },
      configOf(bridge, 'Deployment'),
    );
    const job = podOf(only(backfill, 'Job'));
    const deployment = podOf(only(bridge, 'Deployment'));
    assert.equal(job.spec.serviceAccountName, deployment.spec.serviceAccountName);
    assert.equal(job.spec.containers[0].image, deployment.spec.containers[0].image);
    // The Deployment, its budget and its monitors must not select the Job's pods.
    assert.equal('app' in job.metadata.labels, false);
  });

  it('restrict every container', async () => {
    const pods = [
      podOf(only(await builtFolder('base'), 'Deployment')),
      podOf(only(await builtFolder('backfill'), 'Job')),
    ];
    for (const { spec } of pods) {
      assert.deepEqual(spec.securityContext, {
        runAsNonRoot: true,
        seccompProfile: { type: 'RuntimeDefault' },
      });
      assert.deepEqual(spec.containers[0].securityContext, {
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      });
    }
  });

  it('let out DNS, TLS, the API server and the metadata server, and let in metrics', async () => {
    assert.deepEqual(only(await builtFolder('base'), 'NetworkPolicy').spec, {
      podSelector: {},
      policyTypes: ['Ingress', 'Egress'],
      ingress: [{ ports: [{ protocol: 'TCP', port: 8080 }] }],
      egress: [
        {
          ports: [
            { protocol: 'UDP', port: 53 },
            { protocol: 'TCP', port: 53 },
          ],
        },
        {
          ports: [
            { protocol: 'TCP', port: 443 },
            { protocol: 'TCP', port: 6443 },
          ],
        },
        {
          to: [{ ipBlock: { cidr: '169.254.169.254/32' } }],
          ports: [{ protocol: 'TCP', port: 80 }],
        },
        {
          to: [{ ipBlock: { cidr: '169.254.169.252/32' } }],
          ports: [{ protocol: 'TCP', port: 988 }],
        },
      ],
    });
  });

  it('monitor the pods of the Deployment where a component is added', async (t) => {
    const [overlay] = OVERLAYS;
    const manifests = await build(required(search), withComponents(scratchFolder(t), overlay));
    const labels = podOf(only(manifests, 'Deployment')).metadata.labels;
    for (const kind of ['PodMonitoring', 'PodMonitor']) {
      const { spec, metadata } = only(manifests, kind);
      assert.equal(metadata.namespace, 'imagerepo-mirror');
      const { selector, ...rest } = spec as unknown as {
        readonly selector: { readonly matchLabels: Readonly<Record<string, string>> };
      };
      const endpoints = kind === 'PodMonitor' ? 'podMetricsEndpoints' : 'endpoints';
      assert.deepEqual(rest, { [endpoints]: [{ port: 'http-prom', interval: '30s' }] });
      for (const [key, value] of Object.entries(selector.matchLabels)) {
        assert.equal(labels[key], value);
      }
    }
  });

  it('give the bridge a priority where that component is added', async (t) => {
    const [overlay] = OVERLAYS;
    const manifests = await build(required(search), withComponents(scratchFolder(t), overlay));
    assert.equal(
      podOf(only(manifests, 'Deployment')).spec.priorityClassName,
      only(manifests, 'PriorityClass').metadata.name,
    );
  });

  it('alert on metrics that the bridge has, alike for both kinds of Prometheus', async (t) => {
    const { manifests, rules } = await rulesOf(t);
    assert.deepEqual(only(manifests, 'PrometheusRule').spec, only(manifests, 'Rules').spec);
    const names = rules.flatMap(({ expr }) =>
      expr.match(/\b(imagerepo_mirror|leader_election)_[a-z_]+/g),
    );
    const known: readonly string[] = Object.values(BRIDGE_METRICS).map(({ name }) => name);
    assert.deepEqual(
      names.filter((name) => !known.includes(name ?? '')),
      [],
    );
  });

  for (const [situation, figures, expected] of [
    ['one of two leads, and a replay of 20,000 objects waits for its rate', {}, undefined],
    [
      'no replica of a shard leads, though one of another does',
      { leader: [leading('', 1), leading('-a1b2', 0), leading('-a1b2', 0)] },
      'Leaderless',
    ],
    ['nothing is scraped', { leader: [] }, 'Leaderless'],
    ['Pub/Sub has refused an event for long', { publishFailures: [figure(3)] }, 'Unpublished'],
    [
      "the leader's watch is lost, the standby's open",
      { watchSynced: [figure(0), figure(1)] },
      'WatchLost',
    ],
    [
      'two images have one destination',
      { refusedObjects: [figure(2, { reason: 'DestinationTaken' })] },
      'Refused',
    ],
  ] as const) {
    it(`alert ${expected ?? 'not'} where ${situation}`, async (t) => {
      const { rules } = await rulesOf(t);
      const all: Readonly<Record<string, readonly Series[]>> = { ...HEALTHY_BRIDGE, ...figures };
      const samples = new Map(
        Object.entries(BRIDGE_METRICS).map(([key, { name }]) => [name, all[key] ?? []]),
      );
      assert.deepEqual(
        rules
          .filter(({ expr }) => evaluatePromql(expr, samples).length > 0)
          .map(({ alert }) => alert),
        expected === undefined ? [] : [`ImagerepoMirrorBridge${expected}`],
      );
    });
  }

  it('keep the namespace when Flux prunes', async () => {
    const [overlay] = OVERLAYS;
    const namespace = only(await builtFolder(overlay), 'Namespace');
    assert.equal(namespace.metadata.annotations?.['kustomize.toolkit.fluxcd.io/prune'], 'disabled');
  });
});
