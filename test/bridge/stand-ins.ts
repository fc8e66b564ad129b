import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { PubSub } from '@google-cloud/pubsub';

import { startBridge, type Bridge, type BridgeParts } from '../../bridge/bridge.ts';
import { readConfig } from '../../bridge/config.ts';
import { connectApiServer, type ApiServer } from '../../bridge/kubernetes/api-server.ts';
import type { Lane } from '../../bridge/publish-queue.ts';
import { createPublisher, dryRunPublisher } from '../../bridge/publisher.ts';
import { decodeEvent, receivedEvent } from '../../functions/contract/codec.ts';
import type { MirrorEvent } from '../../functions/contract/event.ts';
import { createLogger } from '../../functions/telemetry/logger.ts';
import type { Rule } from '../stand-ins/kubernetes/access.ts';
import {
  startKubernetes,
  type KubernetesOptions,
  type LocalKubernetes,
} from '../stand-ins/kubernetes/kubernetes.ts';
import { startPubsub, type LocalPubsub } from '../stand-ins/pubsub/server.ts';
import { imageRepository } from './objects.ts';

const HEARTBEAT = 'io.imagerepo-mirror.bridge.alive.v1';

/** Waits of a second in production are some milliseconds here. */
export const quick = { minMs: 10, maxMs: 100 } as const;

const PROJECT = 'test-project';

/** A line of the log. */
export type Line = Readonly<Record<string, unknown>>;

/** A bridge between a Kubernetes and a Pub/Sub stand-in. */
export interface RunningBridge {
  readonly bridge: Bridge;
  readonly lines: readonly Line[];
  /** Body and status of a page of the health or metrics server. */
  page(path: string): Promise<{ readonly status: number; readonly body: string }>;
  /** Resolves once it is ready. */
  ready(): Promise<void>;
  /** Whether it holds the Lease. */
  leads(): Promise<boolean>;
  stop(): Promise<void>;
}

/** A Pub/Sub stand-in with the topics `events` and `bulk`. */
export interface Broker {
  readonly pubsub: LocalPubsub;
  /** Events published to a lane, oldest first. */
  events(lane?: Lane): readonly MirrorEvent[];
  /** Resolves when the lane has so many events, with them. */
  until(count: number, lane?: Lane, timeoutMs?: number): Promise<readonly MirrorEvent[]>;
  close(): Promise<void>;
}

/** Both stand-ins; the bridges started with them are stopped with them. */
export interface StandIns extends Broker {
  readonly kubernetes: LocalKubernetes;
  /** Path of the admin's kubeconfig. */
  readonly kubeconfig: string;
  readonly folder: string;
  /** Path of a kubeconfig of a new user; without rules it may do nothing. */
  userConfig(name: string, rules?: readonly Rule[]): Promise<string>;
  /** Changes an object of its own, and waits until it is published: what was due before has come. */
  fence(): Promise<void>;
  /** A bridge with these options, its waits short. */
  start(args?: readonly string[], parts?: Partial<BridgeParts>): Promise<RunningBridge>;
}

/** Starts the Pub/Sub stand-in; from then on this process's publishers speak to it. */
export async function startBroker(): Promise<Broker> {
  const pubsub = await startPubsub({ duplicateShare: 0 });
  process.env['PUBSUB_EMULATOR_HOST'] = pubsub.host;
  const client = new PubSub({ projectId: PROJECT });
  for (const name of ['events', 'bulk']) {
    await client.createTopic({ name, messageRetentionDuration: { seconds: 600 } });
  }
  await client.close();
  const fullName = (lane: Lane): string => `projects/${PROJECT}/topics/${lane}`;

  /** What was published to a lane, without the bridge's signs of life. */
  function messages(lane: Lane): ReturnType<typeof pubsub.view.messages> {
    return pubsub.view
      .messages(fullName(lane))
      .filter(({ attributes }) => attributes['ce-type'] !== HEARTBEAT);
  }

  function events(lane: Lane = 'events'): readonly MirrorEvent[] {
    return messages(lane).map(({ attributes, data }) =>
      decodeEvent(receivedEvent({ attributes, data: Buffer.from(data) })),
    );
  }

  return {
    pubsub,
    events,
    async until(count, lane = 'events', timeoutMs = 120_000) {
      await pubsub.view.until(() => messages(lane).length >= count, AbortSignal.timeout(timeoutMs));
      return events(lane);
    },
    close: () => pubsub.close(),
  };
}

/** Starts both stand-ins, with the topics `events` and `bulk`. */
export async function startStandIns(options: KubernetesOptions = {}): Promise<StandIns> {
  const folder = await mkdtemp(join(tmpdir(), 'bridge-'));
  const kubernetes = await startKubernetes(options);
  const broker = await startBroker();
  const kubeconfig = join(folder, 'kubeconfig');
  await kubernetes.kubeconfig(kubeconfig);
  const running: RunningBridge[] = [];
  let fences = 0;
  return {
    ...broker,
    kubernetes,
    kubeconfig,
    folder,
    async userConfig(name, rules = []) {
      const path = join(folder, name);
      await kubernetes.kubeconfig(path, kubernetes.addUser({ name, rules }));
      return path;
    },
    async fence() {
      fences += 1;
      const isFence = ({ data }: MirrorEvent): boolean =>
        data.imageRepository.name === `fence-${fences}`;
      for (const revision of ['', '1']) {
        kubernetes.put(imageRepository(`fence-${fences}`, { revision }));
      }
      const ended = AbortSignal.timeout(120_000);
      await broker.pubsub.view.until(() => broker.events().some(isFence), ended);
    },
    async start(args = [], parts = {}) {
      const started = await startRunning(connectApiServer(kubeconfig), args, parts);
      running.push(started);
      return started;
    },
    async close() {
      for (const each of running) await each.stop();
      await kubernetes.close();
      await broker.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Starts a bridge against an API server and the Pub/Sub of the environment. */
export async function startRunning(
  apiServer: ApiServer,
  args: readonly string[] = [],
  parts: Partial<BridgeParts> = {},
): Promise<RunningBridge> {
  const lines: Line[] = [];
  const logger = createLogger({
    fluxKeys: true,
    level: 'info',
    write: (line) => lines.push(JSON.parse(line) as Line),
  });
  const config = readConfig(
    [
      ...['--project', PROJECT, '--metrics-addr', '127.0.0.1:0', '--health-addr', '127.0.0.1:0'],
      ...args,
    ],
    { RUNTIME_NAMESPACE: 'flux-system' },
  );
  const publisher =
    parts.publisher ?? (config.dryRun ? dryRunPublisher(logger) : createPublisher(config));
  const used = parts.apiServer ?? apiServer;
  const bridge = await startBridge(config, {
    logger,
    backoff: quick,
    ...parts,
    apiServer: used,
    publisher,
  });
  let stopped = false;
  async function page(path: string): ReturnType<RunningBridge['page']> {
    const address = path === '/metrics' ? bridge.metricsAddress : bridge.healthAddress;
    const response = await fetch(`http://${address ?? ''}${path}`);
    return { status: response.status, body: await response.text() };
  }
  return {
    bridge,
    lines,
    page,
    ready: () => eventually('ready', async () => (await page('/readyz')).status === 200),
    leads: async () =>
      /^leader_election_master_status\{name="[^"]+"\} 1$/m.test((await page('/metrics')).body),
    async stop() {
      if (stopped) return;
      stopped = true;
      await bridge.stop();
      await publisher.close();
      used.close();
    },
  };
}

/** Resolves when `holds` does; looked at every few milliseconds, for 60 s at most: a busy machine is slow. */
export async function eventually(
  what: string,
  holds: () => boolean | Promise<boolean>,
): Promise<void> {
  const endMs = performance.now() + 60_000;
  while (!(await holds())) {
    if (performance.now() > endMs) throw new Error(`never came about: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Time for what must not happen to happen. */
export function aWhile(ms = 150): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
