import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { cpus, tmpdir, type CpuInfo } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { PubSub } from '@google-cloud/pubsub';

import type { EncodedEvent } from '../../functions/contract/codec.ts';
import { freePort } from '../stand-ins/child.ts';
import { startPubsub } from '../stand-ins/pubsub/server.ts';
import { createLanes, TOPICS } from '../stand-ins/pubsub/lanes.ts';
import {
  startRegistryProcess,
  type RegistryProcess,
} from '../stand-ins/registry/registry-process.ts';
import { startRunFront } from '../stand-ins/cloud-run/front.ts';
import { startInstanceProcess } from '../stand-ins/cloud-run/instance.ts';
import { bundleBare, bundleInto, compileInto, IMAGE_FLAGS, removeCompiled } from './bundle.ts';
import type { BenchOptions } from './main.ts';
import { deliver, eventAbout } from './service.ts';
import { ratioOf, spreadOf } from './statistics.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const KIB = 1024;

/** A cold start takes at most so many times that of a bare function, installed or bundled. */
const COLD_START_BOUND = 1;
/** Repositories of the throughput run, each with a few tags that are all there. */
const UNCHANGED_REPOSITORIES = 50;
/** Tags of the repository that several processes share, each an image of its own. */
const SHARED_TAGS = 2000;
/** Base layers of those images. */
const SHARED_BASES = 20;
/** A base layer and an image's own, in the proportion that images of services have (some 60 and 20 MB). */
const BASE_BYTES = 60 * KIB;
const OWN_BYTES = 20 * KIB;
/** Processes that share it. */
const PROCESSES = 4;
/** Round trips to both registries in those runs: as between regions, and so far that no machine is the bound. */
const RTTS_MS = [20, 100];
/** Events before those runs: Pub/Sub has widened its push window, and all instances have started. */
const WARM_UP_EVENTS = 100;
/** Above this share of all cores the machine was the bound, not the processes. */
const RIG_BOUND_LOAD = 0.8;

interface Line {
  readonly name: string;
  readonly measured: string;
  readonly bound?: string;
  readonly kept?: boolean;
}

/** Measures the subscriber: cold start, throughput, and work shared by processes. */
export async function bench(options: BenchOptions): Promise<number> {
  const bundles = mkdtempSync(join(tmpdir(), 'imagerepo-mirror-bench-'));
  try {
    const serve = bundleInto(bundles, 'serve', 'job');
    const parts: Readonly<Record<string, () => Promise<readonly Line[]>>> = {
      'cold-start': () => coldStart(bundles, options.runs),
      unchanged: () => unchangedEvents(serve),
      shared: () => sharedRepository(serve),
    };
    const lines: Line[] = [];
    for (const [name, measure] of Object.entries(parts)) {
      if (name.startsWith(options.only)) lines.push(...(await measure()));
    }
    print(lines, options);
    return lines.filter(({ kept }) => kept === false).length;
  } finally {
    rmSync(bundles, { recursive: true, force: true });
  }
}

function print(lines: readonly Line[], { json }: BenchOptions): void {
  if (json) {
    process.stdout.write(`${JSON.stringify({ benchmark: 'subscriber', lines })}\n`);
    return;
  }
  process.stdout.write('\nsubscriber\n');
  for (const { name, measured, bound, kept } of lines) {
    const verdict =
      bound === undefined ? '' : `  bound ${bound}: ${kept === true ? 'kept' : 'MISSED'}`;
    process.stdout.write(`  ${name}: ${measured}${verdict}\n`);
  }
}

/**
 * Process start → first 204, in turn: the image's (bundle and compile cache), and that of a function that does
 * nothing, as the framework is installed, bundled, and bundled with a compile cache of its own.
 */
async function coldStart(folder: string, runs: number): Promise<readonly Line[]> {
  const source = await startRegistryProcess();
  const destination = await startRegistryProcess({ dialect: 'artifact-registry' });
  const caches = mkdtempSync(join(tmpdir(), 'imagerepo-mirror-bench-compiled-'));
  const [cache, bareCache] = [join(caches, 'ours'), join(caches, 'bare')];
  try {
    await source.putSyntheticImage({
      repository: 'bench/cold',
      tag: '1.0.0',
      layers: [{ seed: 'cold', sizeBytes: 4 * KIB }],
    });
    compileInto(cache, folder);
    const serve = join(folder, 'serve.js');
    const installed = join(root, 'test/bench/bare-function.mjs');
    const bare = await bundleBare(folder);
    const message = eventAbout(`${source.host}/bench/cold`);
    const env = serviceEnv(destination);
    const image = { ...env, NODE_COMPILE_CACHE: cache };
    const production = { NODE_ENV: 'production' };
    const compiled = { ...production, NODE_COMPILE_CACHE: bareCache };
    // The repository is mirrored before: the first event then finds nothing to do.
    await firstAnswerMs([...IMAGE_FLAGS, serve], env, message);
    await firstAnswerMs([bare], compiled, message, 'SIGTERM');
    const times: Record<'ours' | 'uncached' | 'installed' | 'bare' | 'bareCompiled', number[]> = {
      ours: [],
      uncached: [],
      installed: [],
      bare: [],
      bareCompiled: [],
    };
    for (let run = 0; run < runs; run++) {
      times.ours.push(await firstAnswerMs([...IMAGE_FLAGS, serve], image, message));
      times.installed.push(await firstAnswerMs([installed], production, message));
      times.bare.push(await firstAnswerMs([bare], production, message));
      times.uncached.push(await firstAnswerMs([...IMAGE_FLAGS, serve], env, message));
      times.bareCompiled.push(await firstAnswerMs([bare], compiled, message));
    }
    const medianMs = (name: keyof typeof times): string =>
      `${spreadOf(times[name]).median.toFixed(0)} ms`;
    const beside = (name: keyof typeof times): ReturnType<typeof ratioOf> =>
      ratioOf(times.ours, times[name]);
    const spread = ({ median, min, max }: ReturnType<typeof ratioOf>): string =>
      `${median.toFixed(2)} (${min.toFixed(2)}…${max.toFixed(2)})`;
    const bounded = (name: string, ratio: ReturnType<typeof ratioOf>): Line => ({
      name,
      measured: spread(ratio),
      bound: `≤ ${COLD_START_BOUND}`,
      kept: ratio.median <= COLD_START_BOUND,
    });
    return [
      { name: 'process start → first 204', measured: medianMs('ours') },
      { name: 'the same, without compile cache', measured: medianMs('uncached') },
      { name: 'the same, a bare function', measured: medianMs('installed') },
      { name: 'the same, a bare function bundled', measured: medianMs('bare') },
      { name: 'the same, that with a compile cache', measured: medianMs('bareCompiled') },
      bounded('cold start / bare function', beside('installed')),
      bounded('cold start / bare function bundled', beside('bare')),
    ];
  } finally {
    await Promise.all([source.close(), destination.close()]);
    removeCompiled(caches);
  }
}

async function firstAnswerMs(
  command: readonly string[],
  env: Readonly<Record<string, string>>,
  event: EncodedEvent,
  signal: NodeJS.Signals = 'SIGKILL',
): Promise<number> {
  const port = await freePort();
  const startedMs = performance.now();
  const child = spawn(process.execPath, command, {
    cwd: root,
    stdio: 'ignore',
    env: { PATH: process.env['PATH'], ...env, PORT: String(port) },
  });
  const ended = once(child, 'exit');
  try {
    await listening(port, child);
    await deliver(`http://127.0.0.1:${port}/`, event);
    return performance.now() - startedMs;
  } finally {
    child.kill(signal);
    await ended;
  }
}

/** Resolves as soon as something listens. */
async function listening(port: number, child: ChildProcess): Promise<void> {
  for (;;) {
    if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}`);
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1');
      socket.once('connect', () => {
        socket.destroy();
        resolve(true);
      });
      socket.once('error', () => {
        resolve(false);
      });
    });
    if (open) return;
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** Events about repositories that need nothing, 4 at a time and 16 at a time. */
async function unchangedEvents(serve: string): Promise<readonly Line[]> {
  const source = await startRegistryProcess();
  const destination = await startRegistryProcess({ dialect: 'artifact-registry' });
  const instance = await startInstanceProcess({
    command: [...IMAGE_FLAGS, serve],
    env: serviceEnv(destination),
  });
  try {
    const messages: EncodedEvent[] = [];
    for (let n = 0; n < UNCHANGED_REPOSITORIES; n++) {
      const repository = `bench/unchanged-${n}`;
      for (const tag of ['1.0.0', '1.0.1', '1.1.0']) {
        const layers = [{ seed: `${repository}:${tag}`, sizeBytes: KIB }];
        await source.putSyntheticImage({ repository, tag, layers });
      }
      messages.push(eventAbout(`${source.host}/${repository}`));
    }
    const post = (event: EncodedEvent): Promise<void> => deliver(instance.url, event);
    await inTurns(messages, 8, post);
    const lines: Line[] = [];
    for (const concurrency of [4, 16]) {
      const many = Array.from({ length: 10 }, () => messages).flat();
      const startedMs = performance.now();
      await inTurns(many, concurrency, post);
      const perSecond = (many.length * 1000) / (performance.now() - startedMs);
      lines.push({
        name: `events about unchanged repositories, ${concurrency} at once`,
        measured: `${perSecond.toFixed(0)}/s`,
      });
    }
    return lines;
  } finally {
    instance.kill();
    await Promise.all([instance.gone, source.close(), destination.close()]);
  }
}

async function inTurns<T>(
  all: readonly T[],
  concurrency: number,
  work: (one: T) => Promise<void>,
): Promise<void> {
  const waiting = [...all];
  await Promise.all(
    Array.from({ length: concurrency }, async () => {
      for (let one = waiting.shift(); one !== undefined; one = waiting.shift()) await work(one);
    }),
  );
}

/** What one run of the shared repository cost. */
interface SharedRun {
  readonly wallSeconds: number;
  readonly uploadedBytes: number;
  readonly manifestGets: number;
  /** Share of all cores that was busy. */
  readonly machineLoad: number;
}

/** 2,000 tags by fan-out: one process, then four; farther away where this machine was the bound. */
async function sharedRepository(serve: string): Promise<readonly Line[]> {
  const source = await startRegistryProcess();
  try {
    for (let tag = 0; tag < SHARED_TAGS; tag++) {
      await source.putSyntheticImage({
        repository: 'bench/shared',
        tag: `1.${tag}.0`,
        layers: [
          { seed: `base-${tag % SHARED_BASES}`, sizeBytes: BASE_BYTES },
          { seed: `own-${tag}`, sizeBytes: OWN_BYTES },
        ],
      });
    }
    const layers = [{ seed: 'warm-up', sizeBytes: KIB }];
    await source.putSyntheticImage({ repository: 'bench/warm-up', tag: '1.0.0', layers });
    const lines: Line[] = [];
    for (const rttMs of RTTS_MS) {
      const one = await sharedBy(1, serve, source, rttMs);
      const four = await sharedBy(PROCESSES, serve, source, rttMs);
      lines.push(...linesOf(one, four, rttMs));
      if (four.machineLoad <= RIG_BOUND_LOAD) break;
    }
    return lines;
  } finally {
    await source.close();
  }
}

function linesOf(one: SharedRun, four: SharedRun, rttMs: number): readonly Line[] {
  const what = `${SHARED_TAGS} tags by ${PROCESSES} processes, RTT ${rttMs} ms`;
  const ratio = four.wallSeconds / one.wallSeconds;
  const rigBound = four.machineLoad > RIG_BOUND_LOAD;
  return [
    {
      name: `${what}: bytes uploaded / by one`,
      measured: (four.uploadedBytes / one.uploadedBytes).toFixed(3),
      bound: '≤ 1.1',
      kept: four.uploadedBytes <= 1.1 * one.uploadedBytes,
    },
    {
      name: `${what}: manifests read from the source / images`,
      measured: (four.manifestGets / SHARED_TAGS).toFixed(3),
      bound: '≤ 1.05',
      kept: four.manifestGets <= 1.05 * SHARED_TAGS,
    },
    {
      name: `${what}: wall / one process`,
      measured: `${ratio.toFixed(2)} (${four.wallSeconds.toFixed(1)} s / ${one.wallSeconds.toFixed(1)} s${rigBound ? ', this machine was the bound' : ''})`,
      ...(rigBound ? {} : { bound: '≤ 0.4', kept: ratio <= 0.4 }),
    },
  ];
}

async function sharedBy(
  processes: number,
  serve: string,
  source: RegistryProcess,
  rttMs: number,
): Promise<SharedRun> {
  const destination = await startRegistryProcess({ dialect: 'artifact-registry' });
  const pubsub = await startPubsub({ duplicateShare: 0, backoffFactor: 0.01 });
  const env = {
    ...serviceEnv(destination),
    MAX_MISSING_TAGS: '0',
    BULK_TOPIC: TOPICS.bulk,
    DEAD_LETTER_TOPIC: TOPICS.deadLetter,
    GOOGLE_CLOUD_PROJECT: 'bench',
    PUBSUB_EMULATOR_HOST: pubsub.host,
    METADATA_SERVER_DETECTION: 'none',
  };
  const front = await startRunFront({
    start: async () => startInstanceProcess({ command: [...IMAGE_FLAGS, serve], env }),
    maxInstances: processes,
    concurrency: 4,
  });
  const admin = new PubSub({ apiEndpoint: pubsub.host, projectId: 'bench', emulatorMode: true });
  try {
    await createLanes({
      host: pubsub.host,
      projectId: 'bench',
      eventsEndpoint: front.url,
      bulkEndpoint: front.url,
    });
    for (const registry of [source, destination]) await registry.set({ rttMs });
    const quiet = async (): Promise<void> => {
      await pubsub.view.until((view) =>
        [TOPICS.events, TOPICS.bulk].every((name) => {
          const lane = view.subscription(`projects/bench/subscriptions/${name}`);
          return (
            lane !== undefined && lane.acknowledged > 0 && lane.undelivered + lane.outstanding === 0
          );
        }),
      );
    };
    const publish = async (topic: string, { attributes, data }: EncodedEvent): Promise<void> => {
      await admin.topic(topic).publishMessage({ attributes: { ...attributes }, data });
    };
    const small = eventAbout(`${source.host}/bench/warm-up`);
    for (const topic of [TOPICS.events, TOPICS.bulk]) {
      for (let n = 0; n < WARM_UP_EVENTS; n++) await publish(topic, small);
    }
    await quiet();
    for (const registry of [source, destination]) await registry.reset();
    const coresBefore = cpus();
    const startedMs = performance.now();
    await publish(TOPICS.events, eventAbout(`${source.host}/bench/shared`));
    await quiet();
    const wallMs = performance.now() - startedMs;
    const after = await Promise.all([source.figures(), destination.figures()]);
    return {
      wallSeconds: wallMs / 1000,
      uploadedBytes: after[1].uploadedBytes,
      manifestGets: after[0].summary['GET manifest 200'] ?? 0,
      machineLoad: busyShare(coresBefore, cpus()),
    };
  } finally {
    await admin.close();
    await pubsub.close();
    await front.close();
    await destination.close();
  }
}

/** What all cores did between two looks. */
function busyShare(before: readonly CpuInfo[], after: readonly CpuInfo[]): number {
  let [busyMs, allMs] = [0, 0];
  after.forEach(({ times }, core) => {
    const earlier = before[core]?.times;
    if (earlier === undefined) return;
    const idleMs = times.idle - earlier.idle;
    const spentMs =
      Object.values(times).reduce((sum, ms) => sum + ms, 0) -
      Object.values(earlier).reduce((sum, ms) => sum + ms, 0);
    allMs += spentMs;
    busyMs += spentMs - idleMs;
  });
  return allMs === 0 ? 0 : busyMs / allMs;
}

function serviceEnv(destination: RegistryProcess): Readonly<Record<string, string>> {
  return {
    NODE_ENV: 'production',
    LOCAL: 'true',
    DESTINATION_REGISTRY: `${destination.host}/bench/mirror`,
    DESTINATION_LAYOUT: 'path',
  };
}
