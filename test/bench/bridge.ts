import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { PubSub } from '@google-cloud/pubsub';

import { heartbeatOf } from '../../functions/contract/heartbeat.ts';
import { startKubernetes, type LocalKubernetes } from '../stand-ins/kubernetes/kubernetes.ts';
import type { JsonObject, KubeObject, ManagedFieldsEntry } from '../stand-ins/kubernetes/object.ts';
import { startPubsub, type LocalPubsub } from '../stand-ins/pubsub/server.ts';
import { imageRepository, type Wanted } from '../bridge/objects.ts';
import { bundleInto } from './bundle.ts';
import type { BenchOptions } from './main.ts';
import { peakBytesOf } from './measurement.ts';

const PROJECT = 'bench-project';
const OBJECTS = 10_000;
/** Changes a second, each of Flux's three patches, for so long. */
const RATE = 200;
const CHANGES = 3000;
const MIB = 1024 ** 2;

/** What was measured. */
interface Figures {
  readonly listSeconds: number;
  readonly replaySeconds: number;
  readonly noChangePublishes: number;
  readonly noChangeSeconds: number;
  readonly changeP50Ms: number;
  readonly changeP99Ms: number;
  readonly catchUpSeconds: number;
  readonly peakMib: number;
  readonly cpuSeconds: number;
}

interface Bound {
  readonly name: string;
  readonly measured: number;
  readonly bound: number;
  readonly unit: string;
}

/**
 * Measures the bundled bridge, as the image runs it, with 10,000 ImageRepositories: list, replay,
 * scans without change, changes, and the catch-up after a relist. The number of missed bounds.
 */
export async function bench(options: BenchOptions): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'imagerepo-mirror-bench-'));
  const kubernetes = await startKubernetes();
  const pubsub = await startPubsub({ duplicateShare: 0 });
  try {
    const figures = await measure(folder, kubernetes, pubsub);
    const bounds: readonly Bound[] = [
      { name: 'VmHWM', measured: figures.peakMib, bound: 150, unit: 'MiB' },
      {
        name: 'publishes for scans without change',
        measured: figures.noChangePublishes,
        bound: 0,
        unit: '',
      },
      { name: 'status to publish, p99', measured: figures.changeP99Ms, bound: 100, unit: 'ms' },
    ];
    report(figures, bounds, options);
    return bounds.filter(({ measured, bound }) => measured > bound).length;
  } finally {
    await kubernetes.close();
    await pubsub.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function measure(
  folder: string,
  kubernetes: LocalKubernetes,
  pubsub: LocalPubsub,
): Promise<Figures> {
  await createTopics(pubsub.host);
  for (let index = 0; index < OBJECTS; index += 1) kubernetes.put(objectOf(index, {}));
  const kubeconfig = join(folder, 'kubeconfig');
  await kubernetes.kubeconfig(kubeconfig);
  const startedMs = performance.now();
  const bridge = startBundled(folder, kubeconfig, pubsub.host);
  try {
    await bridge.watching;
    const listSeconds = secondsSince(startedMs);
    await publishedUntil(pubsub, 'bulk', OBJECTS);
    const replaySeconds = secondsSince(startedMs);
    const noChange = await scanWithoutChange(kubernetes, pubsub, bridge);
    const latencies = await change(kubernetes, pubsub);
    const catchUpSeconds = await catchUp(kubernetes, pubsub);
    const sorted = latencies.sort((a, b) => a - b);
    return {
      listSeconds,
      replaySeconds,
      ...noChange,
      changeP50Ms: sorted[Math.floor(sorted.length * 0.5)] ?? Number.NaN,
      changeP99Ms: sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN,
      catchUpSeconds,
      peakMib: peakBytesOf(bridge.child.pid ?? 0) / MIB,
      cpuSeconds: await bridge.cpuSeconds(),
    };
  } finally {
    bridge.child.kill('SIGTERM');
    await once(bridge.child, 'close');
  }
}

interface Bundled {
  readonly child: ChildProcess;
  /** Resolves when the first list is complete. */
  readonly watching: Promise<unknown>;
  cpuSeconds(): Promise<number>;
  /** Decisions so far, of every cause. */
  decisions(): Promise<number>;
}

/** The bundle, with the options of the image and of the manifests. */
function startBundled(folder: string, kubeconfig: string, host: string): Bundled {
  const child = spawn(
    process.execPath,
    [
      bundleInto(join(folder, 'dist'), 'bridge'),
      ...['--kubeconfig', kubeconfig, '--project', PROJECT, '--replay-rate', '0'],
      ...['--resync-interval', '0'],
      ...['--metrics-addr', '127.0.0.1:0', '--health-addr', '127.0.0.1:0'],
    ],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: {
        PATH: process.env['PATH'],
        NODE_ENV: 'production',
        NODE_OPTIONS: '--max-semi-space-size=1',
        MALLOC_ARENA_MAX: '1',
        METADATA_SERVER_DETECTION: 'none',
        PUBSUB_EMULATOR_HOST: host,
        RUNTIME_NAMESPACE: 'flux-system',
      },
    },
  );
  const watching = Promise.withResolvers<undefined>();
  let address = '';
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (line.includes('serving metrics')) {
      address = (JSON.parse(line) as { readonly address: string }).address;
    }
    if (line.includes('watching ImageRepositories')) watching.resolve(undefined);
  });
  child.once('exit', (code) => {
    watching.reject(new Error(`the bridge ended with ${String(code)}`));
  });
  watching.promise.catch(() => undefined);
  async function read(pattern: RegExp): Promise<number> {
    const text = await (await fetch(`http://${address}/metrics`)).text();
    return [...text.matchAll(pattern)].reduce((sum, [, value]) => sum + Number(value), 0);
  }
  return {
    child,
    watching: watching.promise,
    cpuSeconds: () => read(/^process_cpu_seconds_total (\S+)$/gm),
    decisions: () => read(/^imagerepo_mirror_bridge_decisions_total\{.*\} (\d+)$/gm),
  };
}

/** Three patches an object: what Flux writes when a scan finds the same tags. */
async function scanWithoutChange(
  kubernetes: LocalKubernetes,
  pubsub: LocalPubsub,
  bridge: Bundled,
): Promise<Pick<Figures, 'noChangePublishes' | 'noChangeSeconds'>> {
  const before = eventsOf(pubsub);
  const decided = await bridge.decisions();
  const startedMs = performance.now();
  for (let index = 0; index < OBJECTS; index += 1) {
    kubernetes.put(withReconciling(objectOf(index, {})));
    kubernetes.put(objectOf(index, {}));
    kubernetes.put(objectOf(index, { scanTime: '2026-08-10T09:05:02Z' }));
    if (index % 10 === 0) await pause(0);
  }
  while ((await bridge.decisions()) < decided + 3 * OBJECTS) await pause(50);
  return {
    noChangeSeconds: secondsSince(startedMs),
    noChangePublishes: eventsOf(pubsub) - before,
  };
}

/** Changes at an even rate; the time of each from its last patch until Pub/Sub has it, ms. */
async function change(kubernetes: LocalKubernetes, pubsub: LocalPubsub): Promise<number[]> {
  const writtenAtMs = new Map<string, number>();
  const latencies: number[] = [];
  let seen = 0;
  const watching = pubsub.view.until((view) => {
    const messages = view.messages(`projects/${PROJECT}/topics/events`);
    for (const message of messages.slice(seen - messages.length || messages.length)) {
      seen += 1;
      if (heartbeatOf(message.attributes) !== undefined) continue;
      const { imageRepository: object } = JSON.parse(Buffer.from(message.data).toString()) as {
        readonly imageRepository: { readonly name: string };
      };
      const atMs = writtenAtMs.get(object.name);
      if (atMs !== undefined) latencies.push(performance.now() - atMs);
    }
    return latencies.length >= CHANGES;
  });
  const startedMs = performance.now();
  for (let count = 0; count < CHANGES; count += 1) {
    const index = (count * 7) % OBJECTS;
    const wanted = { revision: `changed-${count}`, scanTime: '2026-08-10T09:10:02Z' };
    const { status } = objectOf(index, wanted);
    const conditions = (status as JsonObject)['conditions'] as readonly JsonObject[];
    const before = objectOf(index, {});
    kubernetes.put(withReconciling(before));
    kubernetes.put({ ...before, status: { ...(before['status'] as JsonObject), conditions } });
    writtenAtMs.set(before.metadata.name, performance.now());
    kubernetes.put(objectOf(index, wanted));
    const dueMs = startedMs + ((count + 1) * 1000) / RATE;
    if (dueMs > performance.now()) await pause(dueMs - performance.now());
  }
  await watching;
  return latencies;
}

/** Every object changes while the API server is away and forgets: a new list finds them all. */
async function catchUp(kubernetes: LocalKubernetes, pubsub: LocalPubsub): Promise<number> {
  const before = published(pubsub, 'events');
  await kubernetes.faults.halt();
  for (let index = 0; index < OBJECTS; index += 1) {
    kubernetes.put(objectOf(index, { revision: 'after-the-outage' }));
  }
  const startedMs = performance.now();
  await kubernetes.faults.resume('forget');
  await publishedUntil(pubsub, 'events', before + OBJECTS);
  return secondsSince(startedMs);
}

/** An object with the managedFields that Flux's controllers leave, some 5 KiB in all. */
function objectOf(index: number, wanted: Wanted): KubeObject {
  const name = `app-${String(index).padStart(5, '0')}`;
  const object = imageRepository(name, { revision: '3921220339', ...wanted });
  return { ...object, metadata: { ...object.metadata, managedFields: MANAGED_FIELDS } };
}

const FIELDS = {
  'f:metadata': { 'f:annotations': { '.': {} }, 'f:labels': { '.': {} } },
  'f:spec': Object.fromEntries(
    ['accessFrom', 'exclusionList', 'image', 'interval', 'provider', 'secretRef', 'timeout'].map(
      (field) => [`f:${field}`, { '.': {}, 'f:name': {}, 'f:namespaceSelectors': {} }],
    ),
  ),
  'f:status': Object.fromEntries(
    ['canonicalImageName', 'conditions', 'lastHandledReconcileAt', 'lastScanResult'].map(
      (field) => [
        `f:${field}`,
        Object.fromEntries(
          ['latestTags', 'revision', 'scanTime', 'tagCount', 'message', 'reason', 'type'].map(
            (below) => [`f:${below}`, { '.': {}, [`k:{"type":"${below}"}`]: { '.': {} } }],
          ),
        ),
      ],
    ),
  ),
};
const MANAGED_FIELDS: readonly ManagedFieldsEntry[] = [
  { manager: 'kustomize-controller', operation: 'Apply' },
  { manager: 'image-reflector-controller', operation: 'Update' },
  { manager: 'image-reflector-controller', operation: 'Update', subresource: 'status' },
].map((entry) => ({
  ...entry,
  apiVersion: 'image.toolkit.fluxcd.io/v1',
  time: '2026-08-10T09:00:02Z',
  fieldsType: 'FieldsV1' as const,
  fieldsV1: FIELDS,
}));

function withReconciling(object: KubeObject): KubeObject {
  const status = object['status'] as JsonObject & { readonly conditions?: readonly JsonObject[] };
  const reconciling = {
    type: 'Reconciling',
    status: 'True',
    reason: 'Progressing',
    message: 'scanning: triggered by interval',
    observedGeneration: 1,
    lastTransitionTime: '2026-08-10T09:05:01Z',
  };
  return {
    ...object,
    status: { ...status, conditions: [reconciling, ...(status.conditions ?? [])] },
  };
}

async function createTopics(host: string): Promise<void> {
  const client = new PubSub({ projectId: PROJECT, apiEndpoint: host, emulatorMode: true });
  for (const name of ['events', 'bulk']) {
    await client.createTopic({ name, messageRetentionDuration: { seconds: 3600 } });
  }
  await client.close();
}

function published(pubsub: LocalPubsub, lane: string): number {
  const name = `projects/${PROJECT}/topics/${lane}`;
  return pubsub.view.topics().find((topic) => topic.name === name)?.published ?? 0;
}

/** What was published to both lanes, signs of life apart: one comes every 5 minutes. */
function eventsOf(pubsub: LocalPubsub): number {
  const signs = pubsub.view
    .messages(`projects/${PROJECT}/topics/events`)
    .filter(({ attributes }) => heartbeatOf(attributes) !== undefined);
  return published(pubsub, 'events') + published(pubsub, 'bulk') - signs.length;
}

async function publishedUntil(pubsub: LocalPubsub, lane: string, count: number): Promise<void> {
  await pubsub.view.until(() => published(pubsub, lane) >= count, AbortSignal.timeout(300_000));
}

function secondsSince(startMs: number): number {
  return (performance.now() - startMs) / 1000;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function report(figures: Figures, bounds: readonly Bound[], { json }: BenchOptions): void {
  const rig = {
    node: process.version,
    cores: cpus().length,
    processor: cpus()[0]?.model ?? '',
    load: loadavg()[0] ?? 0,
  };
  if (json) {
    process.stdout.write(`${JSON.stringify({ benchmark: 'bridge', rig, figures, bounds })}\n`);
    return;
  }
  const seconds = (value: number): string => `${value.toFixed(1)} s`;
  const lines = [
    `bridge: ${OBJECTS} ImageRepositories (${rig.cores} cores, load ${rig.load.toFixed(1)})`,
    `  start to complete list:                 ${seconds(figures.listSeconds)}`,
    `  start to the last of ${OBJECTS} replayed:     ${seconds(figures.replaySeconds)}`,
    `  ${3 * OBJECTS} patches of scans without change: ${seconds(figures.noChangeSeconds)}`,
    `  ${RATE} changes a second, p50:            ${figures.changeP50Ms.toFixed(1)} ms`,
    `  catch-up after a new list of ${OBJECTS}:      ${seconds(figures.catchUpSeconds)}`,
    `  CPU in all:                             ${seconds(figures.cpuSeconds)}`,
    ...bounds.map(({ name, measured, bound, unit }) => {
      const kept = measured <= bound ? 'kept' : 'MISSED';
      return `  ${name}: ${Math.round(measured * 10) / 10} ${unit} (bound ≤ ${bound} ${unit}): ${kept}`;
    }),
  ];
  process.stdout.write(`\n${lines.join('\n')}\n`);
}
