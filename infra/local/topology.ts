import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { freePort, startChild, type Child, type LogLine } from '../../test/stand-ins/child.ts';
import { startImageSource, type ImageSource } from './image-source.ts';
import { startKubernetes } from '../../test/stand-ins/kubernetes/kubernetes.ts';
import { startMetadata } from '../../test/stand-ins/metadata/metadata.ts';
import type { LocalOptions } from './options.ts';
import { startPubsub } from '../../test/stand-ins/pubsub/server.ts';
import { observeTopics } from '../../test/stand-ins/pubsub/topic-observer.ts';
import { createLanes, TOPICS } from '../../test/stand-ins/pubsub/lanes.ts';
import { startRegistry } from '../../test/stand-ins/registry/registry.ts';
import { startScanner } from '../../test/stand-ins/flux-scanner/scanner.ts';

/** Told what happens while it runs. */
export interface TopologyListener {
  /** A log line of the bridge or of a function. */
  readonly onLine: (child: string, line: LogLine, raw: string) => void;
  /** A message that was published to a topic. */
  readonly onMessage: (
    topic: string,
    message: { readonly attributes: Readonly<Record<string, string>>; readonly data: Buffer },
  ) => void;
  /** The bridge or a function ended by itself. */
  readonly onDeath: (child: Child, code: number) => void;
}

/** The demo: source, scans, Pub/Sub, bridge, functions and destination on this machine. */
export interface Topology {
  /** The local source with its images; undefined where real sources are mirrored. */
  readonly source: ImageSource | undefined;
  /** `HOST/PATH` that is mirrored into. */
  readonly destinationRegistry: string;
  /** Origin of the destination. */
  readonly destinationUrl: string;
  /** A value for `Authorization` at the stand-in's destination; undefined at a real one. */
  readonly destinationAuthorization: (() => string) | undefined;
  /** Lines that say where everything is. */
  readonly places: readonly string[];
  /** Ends everything in the reverse order of its start. */
  close(): Promise<void>;
}

const PROJECT = 'local-project';
const NAMESPACE = 'flux-system';
const LANES = ['events', 'bulk'] as const;

/**
 * Starts source, scans, Pub/Sub, bridge, both lanes' functions and destination, each as a stand-in
 * unless an option names the real thing. What was started is ended again where a later part fails.
 */
export async function startTopology(
  options: LocalOptions,
  listener: TopologyListener,
): Promise<Topology> {
  const closers: (() => Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    for (let closer = closers.pop(); closer !== undefined; closer = closers.pop()) await closer();
  };
  try {
    return { ...(await build(options, listener, closers)), close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function build(
  options: LocalOptions,
  listener: TopologyListener,
  closers: (() => Promise<void>)[],
): Promise<Omit<Topology, 'close'>> {
  const folder = await mkdtemp(join(tmpdir(), 'imagerepo-mirror-'));
  closers.push(async () => rm(folder, { recursive: true, force: true }));

  const destination = await startDestination(options, closers);
  const source = await startSource(options, closers);
  const pubsubHost = await startBroker(options, closers);
  const ports = { events: await freePort(), bulk: await freePort() };
  await createLanes({
    host: pubsubHost,
    projectId: PROJECT,
    eventsEndpoint: `http://127.0.0.1:${ports.events}/`,
    bulkEndpoint: `http://127.0.0.1:${ports.bulk}/`,
    // Minutes are for production; here somebody watches.
    minimumBackoffSeconds: 1,
    maximumBackoffSeconds: 30,
  });
  const observer = await observeTopics({
    host: pubsubHost,
    projectId: PROJECT,
    topics: Object.values(TOPICS),
    onMessage: listener.onMessage,
  });
  closers.push(async () => observer.close());
  for (const lane of LANES) {
    startFunction({ lane, port: ports[lane], pubsubHost, destination, options, listener, closers });
  }
  const cluster = await startCluster(options, source, folder, closers);
  startBridge({ kubeconfig: cluster.kubeconfig, pubsubHost, listener, closers });
  return {
    source,
    destinationRegistry: destination.registry,
    destinationUrl: destination.url,
    destinationAuthorization: destination.authorization,
    places: [
      `source       ${source?.url ?? (options.sources.join(', ') || 'as the cluster names them')}`,
      `cluster      ${cluster.url}`,
      `Pub/Sub      ${pubsubHost}`,
      `destination  ${destination.url}, images below ${destination.registry}`,
    ],
  };
}

interface Destination {
  readonly registry: string;
  readonly url: string;
  readonly authorization: (() => string) | undefined;
  /** What a function needs to reach it. */
  readonly env: Readonly<Record<string, string>>;
}

/** The registry named by an option, or an Artifact-Registry-like stand-in with its metadata server. */
async function startDestination(
  options: LocalOptions,
  closers: (() => Promise<void>)[],
): Promise<Destination> {
  const named = options.destinationRegistry;
  if (named !== undefined) {
    const host = named.split('/')[0] ?? '';
    const loopback = /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/.test(host);
    return {
      registry: named,
      url: `${loopback || options.insecure ? 'http' : 'https'}://${host}`,
      authorization: undefined,
      env: options.insecure && !loopback ? { INSECURE_DESTINATION: 'true' } : {},
    };
  }
  const metadata = await startMetadata({ projectId: PROJECT });
  closers.push(async () => metadata.close());
  const registry = await startRegistry({
    dialect: 'artifact-registry',
    google: { accessTokens: metadata.issuer },
    repositories: [`${PROJECT}/mirror`],
  });
  closers.push(async () => registry.close());
  return {
    registry: `${registry.host}/${PROJECT}/mirror`,
    url: registry.url,
    authorization: () => `Bearer ${metadata.issuer.mint(metadata.email).token}`,
    env: {
      GOOGLE_REGISTRY_HOSTS: registry.host,
      GCE_METADATA_HOST: metadata.host,
      METADATA_SERVER_DETECTION: 'assume-present',
    },
  };
}

/** The local source; none where a cluster or `--source` names real ones. */
async function startSource(
  options: LocalOptions,
  closers: (() => Promise<void>)[],
): Promise<ImageSource | undefined> {
  if (options.kubeconfig !== undefined || options.sources.length > 0) return undefined;
  const source = await startImageSource();
  closers.push(async () => source.close());
  return source;
}

async function startBroker(
  options: LocalOptions,
  closers: (() => Promise<void>)[],
): Promise<string> {
  if (options.pubsubEmulatorHost !== undefined) return options.pubsubEmulatorHost;
  const pubsub = await startPubsub();
  closers.push(async () => pubsub.close());
  return pubsub.host;
}

/** The cluster named by an option, or the stand-in with one object a repository and a scanner. */
async function startCluster(
  options: LocalOptions,
  source: ImageSource | undefined,
  folder: string,
  closers: (() => Promise<void>)[],
): Promise<{ readonly kubeconfig: string; readonly url: string }> {
  if (options.kubeconfig !== undefined) {
    return { kubeconfig: options.kubeconfig, url: options.kubeconfig };
  }
  const kubernetes = await startKubernetes({ namespaces: [NAMESPACE] });
  closers.push(async () => kubernetes.close());
  const kubeconfig = join(folder, 'kubeconfig');
  await kubernetes.kubeconfig(kubeconfig);
  const images = source?.images ?? options.sources;
  for (const image of images) {
    kubernetes.create({
      apiVersion: 'image.toolkit.fluxcd.io/v1',
      kind: 'ImageRepository',
      metadata: { name: objectName(image), namespace: NAMESPACE },
      spec: {
        image,
        interval: options.scanInterval,
        ...(source === undefined ? {} : { insecure: true }),
      },
    });
  }
  const scanner = await startScanner({ url: kubernetes.url, token: kubernetes.adminToken });
  closers.push(async () => scanner.close());
  return { kubeconfig, url: kubernetes.url };
}

/** A name Kubernetes takes (RFC 1123 label), made of the image's path. */
function objectName(image: string): string {
  return image
    .slice(image.indexOf('/') + 1)
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 63);
}

interface FunctionParts {
  readonly lane: (typeof LANES)[number];
  readonly port: number;
  readonly pubsubHost: string;
  readonly destination: Destination;
  readonly options: LocalOptions;
  readonly listener: TopologyListener;
  readonly closers: (() => Promise<void>)[];
}

/** One lane's Cloud Run service: the image's own entry as a process of its own. */
function startFunction(parts: FunctionParts): void {
  const { lane, destination, listener } = parts;
  const name = `function ${lane}`;
  const child = startChild({
    name,
    entry: 'functions/serve.ts',
    env: {
      PORT: String(parts.port),
      LOCAL: 'true',
      DESTINATION_REGISTRY: destination.registry,
      TAG_WORKERS: String(parts.options.tagWorkers),
      BULK_TOPIC: TOPICS.bulk,
      DEAD_LETTER_TOPIC: TOPICS.deadLetter,
      GOOGLE_CLOUD_PROJECT: PROJECT,
      PUBSUB_EMULATOR_HOST: parts.pubsubHost,
      ...destination.env,
    },
    onLine: (line, raw) => {
      listener.onLine(name, line, raw);
    },
    onDeath: listener.onDeath,
  });
  parts.closers.push(async () => child.stop());
}

function startBridge(parts: {
  readonly kubeconfig: string;
  readonly pubsubHost: string;
  readonly listener: TopologyListener;
  readonly closers: (() => Promise<void>)[];
}): void {
  const child = startChild({
    name: 'bridge',
    entry: 'bridge/main.ts',
    args: [
      `--kubeconfig=${parts.kubeconfig}`,
      `--project=${PROJECT}`,
      `--topic=${TOPICS.events}`,
      `--bulk-topic=${TOPICS.bulk}`,
      '--cluster-name=local',
      '--metrics-addr=127.0.0.1:0',
      '--health-addr=127.0.0.1:0',
    ],
    env: { PUBSUB_EMULATOR_HOST: parts.pubsubHost, METADATA_SERVER_DETECTION: 'none' },
    onLine: (line, raw) => {
      parts.listener.onLine('bridge', line, raw);
    },
    onDeath: parts.listener.onDeath,
  });
  parts.closers.push(async () => child.stop());
}
