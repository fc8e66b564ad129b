import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { PubSub } from '@google-cloud/pubsub';

import { connectApiServer } from '../../bridge/kubernetes/api-server.ts';
import { createPublisher, type EventPublisher } from '../../bridge/publisher.ts';
import type { Timing } from '../../functions/concurrency.ts';
import type { MirrorEvent } from '../../functions/contract/event.ts';
import { Drain } from '../../functions/job/drain.ts';
import { endedWell, pullUntilIdle } from '../../functions/job/pull-until-idle.ts';
import { NO_DEADLINE } from '../../functions/mirror/deadline.ts';
import { queueClient, type QueueClient } from '../../functions/pubsub/client.ts';
import { topicPublisher } from '../../functions/pubsub/publisher.ts';
import { readSubscription } from '../../functions/pubsub/subscription.ts';
import { executeEvent } from '../../functions/subscriber/execute-event.ts';
import type { Subscriber } from '../../functions/subscriber/subscriber.ts';
import { createLogger, type Logger } from '../../functions/telemetry/logger.ts';
import { startKubernetes, type LocalKubernetes } from '../stand-ins/kubernetes/kubernetes.ts';
import { startPubsub, type LocalPubsub } from '../stand-ins/pubsub/server.ts';
import { TOPICS } from '../stand-ins/pubsub/lanes.ts';
import { imageRepository } from '../bridge/objects.ts';
import { quick, startRunning, type RunningBridge } from '../bridge/stand-ins.ts';
import { startRegistries, tagsOf, type Registries } from '../functions/registries.ts';
import { kubeconfigThrough, serverOf, startTcpProxy, type TcpProxy } from '../tcp-proxy.ts';
import {
  PATH_FAULTS,
  PATH_FAULT_NAMES,
  type Legs,
  type PathFault,
  type PathFaultName,
} from './path-faults.ts';
import { openInstance, startService, type Instance, type PathService } from './path-service.ts';
import { Random } from '../random.ts';
import { hastyTiming, type RunResult } from './run.ts';
import { MIRROR_OPTIONS } from '../mirror-options.ts';

/** How runs of the whole path differ from the product. */
export interface PathOptions {
  /** The fault of every run. Default: one that the seed picks. */
  readonly fault?: PathFaultName;
  /** Something that is wrong on purpose, to show that the fault finds it. Default: nothing. */
  readonly broken?: BrokenPath;
  /** How long what changed may take to be mirrored, by the machine's time. Default 40 s. */
  readonly limitMs?: number;
}

/** What a broken path does in place of the product. */
export interface BrokenPath {
  /** See the watcher; Infinity is not a time of a timer. */
  readonly silenceMs?: number;
  /** See {@link openInstance}. */
  readonly idleMs?: number;
  /** Of a delivery. */
  readonly deadlineMs?: number;
  /** Replaces the publisher of the first or the second replica. */
  readonly publisher?: (publisher: EventPublisher, replica: number, stage: Stage) => EventPublisher;
  readonly subscriber?: (subscriber: Subscriber) => Subscriber;
  /** Says that a subscription is drained, in place of {@link pullUntilIdle}. */
  readonly drained?: (queue: QueueClient, drain: Drain, lane: string) => Promise<boolean>;
}

/** What a broken path may know of its run. */
export interface Stage {
  /** Whether the first replica has been stopped. */
  readonly handedOver: boolean;
}

const PROJECT = 'test-project';
/** Waits of the product in production take a small part of it here, by the machine's own time. */
const CALL_TIMEOUT_MS = 800;
const KEEPALIVE_MS = 300;
const SILENCE_MS = 1000;
const IDLE_MS = 400;
/** The broker's time passes so many times faster: its shortest acknowledgement deadline is 10 s. */
const BROKER_HASTE = 20;
/** Of 60 s, as the pushes' is: longer than a delivery that waits for a dead connection. */
const ACK_DEADLINE_SECONDS = 60;
/** The product needs some seconds; a busy machine several times that. What is lost never comes. */
const LIMIT_MS = 40_000;
/** Longest end: the bridge's own 15 s for what it publishes, and as much for a busy machine. */
const END_MS = 30_000;
/** Longer than a dead connection goes unnoticed and its messages come again, as the job's 60 s are. */
const IDLE_DRAIN_MS = 2000;
const MAX_JOB_RUNS = 12;
const ELECTION = [
  '--enable-leader-election',
  '--leader-election-lease-duration=3s',
  '--leader-election-renew-deadline=2s',
  '--leader-election-retry-period=100ms',
];

/** Runs one seed of the whole path: changes in a cluster, one fault, and what is at the destination then. */
export async function runPath(seed: number, options: PathOptions = {}): Promise<RunResult> {
  const random = new Random(seed);
  const name = options.fault ?? random.pick(PATH_FAULT_NAMES);
  const path = await Path.open(random, PATH_FAULTS[name], options);
  const findings = [...(await path.play())];
  const { promise: late, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(resolve, END_MS, false);
  if (!(await Promise.race([path.close().then(() => true), late]))) {
    findings.push(`the bridge or the service has not ended in ${END_MS} ms`);
  }
  clearTimeout(timer);
  const { deliveries } = path;
  return { seed, faults: [name], deliveries, requests: 0, requestBound: 0, findings };
}

/** One cluster, one Pub/Sub and two registries, and what lies between them. */
class Path implements Stage {
  readonly #random: Random;
  readonly #fault: PathFault;
  readonly #broken: BrokenPath;
  readonly #limitMs: number;
  readonly #timing: Timing = hastyTiming();
  readonly #logger: Logger = createLogger({ write: () => undefined });
  readonly #folder: string;
  readonly #kubernetes: LocalKubernetes;
  readonly #pubsub: LocalPubsub;
  readonly #registries: Registries;
  readonly #legs: Legs;
  readonly #names: readonly string[];
  readonly #revisions = new Map<string, number>();
  readonly #bridges: RunningBridge[] = [];
  readonly #instance: Instance;
  readonly #queue: QueueClient;
  #service: PathService | undefined;
  #jobRuns = 0;
  handedOver = false;

  private constructor(
    random: Random,
    fault: PathFault,
    { broken = {}, limitMs = LIMIT_MS }: PathOptions,
    world: {
      readonly folder: string;
      readonly kubernetes: LocalKubernetes;
      readonly pubsub: LocalPubsub;
      readonly registries: Registries;
      readonly legs: Legs;
    },
  ) {
    this.#random = random;
    this.#fault = fault;
    this.#broken = broken;
    this.#limitMs = limitMs;
    this.#folder = world.folder;
    this.#kubernetes = world.kubernetes;
    this.#pubsub = world.pubsub;
    this.#registries = world.registries;
    this.#legs = world.legs;
    this.#names = Array.from({ length: 1 + random.below(3) }, (_, index) => `app-${index}`);
    process.env['PUBSUB_EMULATOR_HOST'] = world.legs.broker.address;
    this.#queue = queueClient(PROJECT, { timeoutMs: CALL_TIMEOUT_MS, keepaliveMs: KEEPALIVE_MS });
    this.#instance = openInstance({
      source: world.legs.source.address,
      destination: world.legs.destination.address,
      timing: this.#timing,
      idleMs: broken.idleMs ?? IDLE_MS,
    });
  }

  static async open(random: Random, fault: PathFault, options: PathOptions): Promise<Path> {
    const folder = await mkdtemp(join(tmpdir(), 'imagerepo-mirror-chaos-'));
    const kubernetes = await startKubernetes();
    await kubernetes.kubeconfig(join(folder, 'direct'));
    const pubsub = await startPubsub({ speed: BROKER_HASTE, seed: random.below(2 ** 31) });
    const registries = await startRegistries({ seeded: false });
    const legs: Legs = {
      cluster: await startTcpProxy(await serverOf(join(folder, 'direct'))),
      broker: await startTcpProxy(pubsub.host),
      // The service listens later; see below.
      push: await startTcpProxy('127.0.0.1:9'),
      source: await startTcpProxy(registries.source.host),
      destination: await startTcpProxy(registries.destination.host),
    };
    const path = new Path(random, fault, options, { folder, kubernetes, pubsub, registries, legs });
    await path.#begin();
    return path;
  }

  get deliveries(): number {
    return (this.#service?.deliveries ?? 0) + this.#jobRuns;
  }

  async #begin(): Promise<void> {
    if (this.#fault.drained !== true) {
      this.#service = await startService(
        this.#instance,
        this.#queue,
        { timing: this.#timing, logger: this.#logger },
        this.#broken.subscriber,
        this.#broken.deadlineMs,
      );
      await this.#legs.push.close();
      Object.assign(this.#legs, { push: await startTcpProxy(this.#service.url) });
    }
    await this.#createTopology();
    for (const name of this.#names) await this.#change(name);
    await this.#startBridge(join(this.#folder, 'through'), this.#legs.cluster);
    if (this.#fault.replicas === true) {
      await this.#until(async () => this.#bridges[0]?.leads() ?? false);
      await this.#startBridge(join(this.#folder, 'direct'));
      await this.#bridges[1]?.ready();
    }
  }

  /** What is wrong, one sentence each. */
  async play(): Promise<readonly string[]> {
    const { afterRest, replicas, drained, failing } = this.#fault;
    if (afterRest === true && !(await this.#rested()))
      return ['nothing was mirrored to begin with'];
    const { faults } = this.#registries.source;
    if (failing === true) {
      faults.add({ times: Number.POSITIVE_INFINITY, effect: { kind: 'answer', status: 503 } });
    }
    const changes = 2 + this.#random.below(4);
    const at = afterRest === true ? 0 : this.#random.below(changes);
    for (let change = 0; change < changes; change += 1) {
      if (change === at && drained !== true) this.#strike();
      await this.#change(this.#random.pick(this.#names));
      await pause(this.#random.below(150));
    }
    if (replicas === true) await this.#handOver();
    faults.clear();
    if (drained === true) return this.#drainAll();
    if (await this.#rested()) return [];
    return this.#missing().map((tag) => `${tag} is neither mirrored nor a dead letter`);
  }

  #strike(): void {
    const mend = this.#fault.strike(this.#legs);
    if (mend !== undefined) setTimeout(mend, 500 + this.#random.below(1500));
  }

  async close(): Promise<void> {
    await Promise.all([
      ...this.#bridges.map(async (bridge) => bridge.stop()),
      this.#service?.close(),
    ]);
    await this.#queue.close();
    await this.#pubsub.close();
    await this.#kubernetes.close();
    await this.#registries.close();
    await Promise.all(Object.values(this.#legs).map(async (leg: TcpProxy) => leg.close()));
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** The lanes: pushed to the service, or for the job to pull. */
  async #createTopology(): Promise<void> {
    const admin = new PubSub({
      apiEndpoint: this.#pubsub.host,
      projectId: PROJECT,
      emulatorMode: true,
    });
    const push =
      this.#service === undefined
        ? {}
        : { pushConfig: { pushEndpoint: `http://${this.#legs.push.address}/` } };
    for (const name of Object.values(TOPICS)) {
      await admin.createTopic({ name, messageRetentionDuration: { seconds: 86_400 } });
    }
    for (const name of [TOPICS.events, TOPICS.bulk]) {
      await admin.createSubscription(name, name, {
        ...push,
        ackDeadlineSeconds: this.#service === undefined ? 10 : ACK_DEADLINE_SECONDS,
        retryPolicy: { minimumBackoff: { seconds: 2 }, maximumBackoff: { seconds: 10 } },
      });
    }
    await admin.close();
  }

  async #startBridge(kubeconfig: string, proxy?: TcpProxy): Promise<void> {
    if (proxy !== undefined) {
      await kubeconfigThrough(proxy, join(this.#folder, 'direct'), kubeconfig);
    }
    const publisher = createPublisher({
      project: PROJECT,
      topic: TOPICS.events,
      bulkTopic: TOPICS.bulk,
      timeoutMs: CALL_TIMEOUT_MS,
      keepaliveMs: KEEPALIVE_MS,
    });
    const replica = this.#bridges.length;
    this.#bridges.push(
      await startRunning(
        connectApiServer(kubeconfig),
        ['--replay-rate', '0', ...(this.#fault.replicas === true ? ELECTION : [])],
        {
          publisher: this.#broken.publisher?.(publisher, replica, this) ?? publisher,
          // A leader that sees nothing must not notice it within the run.
          silenceMs:
            this.#fault.replicas === true ? LIMIT_MS : (this.#broken.silenceMs ?? SILENCE_MS),
          backoff: quick,
        },
      ),
    );
  }

  /** The standby has seen everything, the leader nothing; it renews once more, and is told to end. */
  async #handOver(): Promise<void> {
    const seen = [...this.#revisions.values()].reduce((sum, revision) => sum + revision - 1, 0);
    await this.#until(async () => {
      const { body = '' } = (await this.#bridges[1]?.page('/metrics')) ?? {};
      const changed = /cause="RevisionChanged"\} (\d+)/.exec(body)?.[1] ?? '0';
      return Number(changed) >= seen;
    });
    await pause(300);
    this.handedOver = true;
    await this.#bridges[0]?.stop();
  }

  /** A new tag at the source, and the scan that finds it. */
  async #change(name: string): Promise<void> {
    const revision = (this.#revisions.get(name) ?? 0) + 1;
    this.#revisions.set(name, revision);
    await this.#registries.push(`org/${name}`, `1.0.${revision}`);
    const image = `${this.#legs.source.address}/org/${name}`;
    this.#kubernetes.put(imageRepository(name, { image, revision: String(revision) }));
  }

  /** Tags of the source that are not at the destination, and of whose object there is no dead letter. */
  #missing(): readonly string[] {
    const { source, destination } = this.#registries;
    const dead = new Set(
      this.#pubsub.view
        .messages(`projects/${PROJECT}/topics/${TOPICS.deadLetter}`)
        .map(({ attributes }) => attributes['ce-subject']),
    );
    return this.#names
      .filter((name) => !dead.has(`${this.#legs.source.address}/org/${name}`))
      .flatMap((name) => {
        const mirrored = tagsOf(destination, `m/org/${name}`);
        return Object.entries(tagsOf(source, `org/${name}`))
          .filter(([tag, digest]) => mirrored[tag] !== digest)
          .map(([tag]) => `${name}:${tag}`);
      });
  }

  async #rested(): Promise<boolean> {
    return this.#until(() => this.#missing().length === 0);
  }

  async #until(holds: () => boolean | Promise<boolean>): Promise<boolean> {
    const endMs = performance.now() + this.#limitMs;
    while (!(await holds())) {
      if (performance.now() > endMs) return false;
      await pause(10);
    }
    return true;
  }

  /** The job, run again as Cloud Run does for as long as it says that something is left. */
  async #drainAll(): Promise<readonly string[]> {
    const published = await this.#until(() => this.#published());
    if (!published) return ['what changed was never published'];
    for (const lane of [TOPICS.bulk, TOPICS.events]) {
      // Before the first messages have come, or just after.
      setTimeout(() => {
        this.#strike();
      }, this.#random.below(40));
      let done = false;
      for (let run = 0; run < MAX_JOB_RUNS && !done; run += 1) done = await this.#drain(lane);
      if (!done) return [`the job has not drained ${lane} in ${MAX_JOB_RUNS} runs`];
    }
    // An acknowledgement that a dead connection has swallowed brings its message again; its work is done.
    return this.#missing().map((tag) => `the job says that all is done, and ${tag} is not`);
  }

  /** Whether Pub/Sub has the newest revision of every object. */
  #published(): boolean {
    const newest = new Map<string, number>();
    for (const lane of [TOPICS.bulk, TOPICS.events]) {
      for (const { data } of this.#pubsub.view.messages(`projects/${PROJECT}/topics/${lane}`)) {
        if (data.length === 0) continue;
        const { imageRepository: object, revision } = JSON.parse(
          Buffer.from(data).toString(),
        ) as MirrorEvent['data'];
        newest.set(object.name, Math.max(newest.get(object.name) ?? 0, Number(revision)));
      }
    }
    return this.#names.every((name) => newest.get(name) === this.#revisions.get(name));
  }

  /** One run of the job; whether it exits with 0. */
  async #drain(lane: string): Promise<boolean> {
    this.#jobRuns += 1;
    const queue = queueClient(PROJECT, { timeoutMs: CALL_TIMEOUT_MS, keepaliveMs: KEEPALIVE_MS });
    const { signal } = new AbortController();
    const drain = new Drain({
      verification: MIRROR_OPTIONS,
      workers: 2,
      acceptFluxEvents: false,
      dryRun: false,
      logger: this.#logger,
      deadLetters: topicPublisher(queue, TOPICS.deadLetter),
      execute: async (event) => this.#execute(event, signal),
    });
    try {
      const { drained } = this.#broken;
      if (drained !== undefined) return await drained(queue, drain, lane);
      const subscription = await readSubscription(queue, lane, signal);
      const ending = await pullUntilIdle(queue, drain, {
        // By the broker's own time.
        subscription: {
          ...subscription,
          comesBackMs: subscription.comesBackMs / BROKER_HASTE,
          longestBackoffMs: subscription.longestBackoffMs / BROKER_HASTE,
        },
        maxMessages: 100,
        maxExtensionSeconds: 60,
        idleMs: IDLE_DRAIN_MS,
        signal,
        logger: this.#logger,
      });
      return endedWell(ending, lane, this.#logger) && drain.counts.undone === 0;
    } catch {
      return false;
    } finally {
      await queue.close();
    }
  }

  async #execute(event: MirrorEvent, signal: AbortSignal): Promise<'done' | 'transient'> {
    const { doWork, rules } = this.#instance;
    const { decision } = await executeEvent(event, {
      doWork,
      rules,
      deadline: NO_DEADLINE,
      signal,
    });
    return decision.action === 'acknowledge' ? 'done' : 'transient';
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
