import { spawnSync } from 'node:child_process';
import { lookup } from 'node:dns/promises';
import { mkdtempSync, readFileSync } from 'node:fs';
import { cpus, hostname, loadavg, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { imageInto, removeCompiled, type BundledImage } from './bundle.ts';
import { asTyped, byCommand, ourselves, peers, type Contender, type Route } from './contenders.ts';
import type { BenchOptions } from './main.ts';
import type { Measurement } from './measurement.ts';
import {
  startRegistryProcess,
  type RegistryProcess,
} from '../stand-ins/registry/registry-process.ts';
import { ourService } from './service.ts';
import { syntheticLayer } from '../stand-ins/images/synthetic.ts';
import { openSlowLink } from './slow-link.ts';
import { ratioInWords, ratioOf, spreadOf } from './statistics.ts';
import { tableOf, type Bound, type Row } from './table.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;
/** A registry that used more of a core than this was the bound, not the contender. */
const RIG_BOUND_LOAD = 0.8;

const rows: Row[] = [];
const bounds: Bound[] = [];
/** Runs of each contender, in turn. */
let runsOfEach = 0;

/** Measures the copy engine beside its peers; the number of missed bounds. */
export async function bench(options: BenchOptions): Promise<number> {
  runsOfEach = options.runs;
  const folder = mkdtempSync(join(tmpdir(), 'imagerepo-mirror-bench-'));
  const image = imageInto(join(folder, 'image'));
  const us = ourselves(image);
  const service = ourService(image);
  const ours = [us, service, asTyped()] as const;
  const others = peers(folder);
  const source = await startRegistryProcess({ auth: { scheme: 'bearer' } });
  const destination = await startRegistryProcess({ dialect: 'artifact-registry' });
  const discarding = await startRegistryProcess({
    dialect: 'artifact-registry',
    discardBlobs: true,
  });
  try {
    const scenarios: Readonly<Record<string, () => Promise<void>>> = {
      'shared-20': async () => coldSharedLayers(20, ours, others, source, destination),
      'shared-80': async () => coldSharedLayers(80, ours, others, source, destination),
      unchanged: async () => unchanged(us, others, source, destination),
      promotion: async () => promotion(us, others),
      big: async () => bigBlob(us, others, discarding),
      'big-tls': async () => bigBlobOverTls(us, others, folder),
      memory: async () => peakMemory(us, source, discarding),
      'slow-link': async () => slowLink(us, source, destination),
      platforms: async () => twoPlatforms(image, destination),
    };
    for (const [name, run] of Object.entries(scenarios)) {
      if (name.startsWith(options.only)) await run();
    }
  } finally {
    await Promise.all([source.close(), destination.close(), discarding.close()]);
    removeCompiled(folder);
  }
  const header = {
    node: process.version,
    cores: cpus().length,
    processor: cpus()[0]?.model ?? '',
    load: loadavg()[0] ?? 0,
    runs: options.runs,
    contenders: [us, ...others].map(({ name, version }) => `${name} ${version}`),
  };
  process.stdout.write(
    options.json
      ? `${JSON.stringify({ header, rows, bounds }, null, 2)}\n`
      : tableOf(header, rows, bounds),
  );
  return bounds.filter(({ kept }) => !kept).length;
}

/** Cold, 10 tags of 5 layers of 1 MiB of which 4 are shared: 14 layers and 10 configs. */
async function coldSharedLayers(
  rttMs: number,
  [us, service, typed]: readonly [Contender, Contender, Contender],
  rivals: readonly Contender[],
  source: RegistryProcess,
  destination: RegistryProcess,
): Promise<void> {
  const repository = 'bench/shared';
  const others = [1, 2, 3].map((n) => `bench/warm-up-${n}`);
  for (const one of [repository, ...others]) await putShared(source, one);
  const route = {
    ...routeOf(source, destination, repository),
    warmUp: others.map((one) => `${source.host}/${one}`),
  };
  await setRtt(rttMs, source, destination);
  const scenario = `cold, 10 tags, shared layers, RTT ${rttMs} ms`;
  const ofOurs = await compete(
    scenario,
    us,
    // How a user starts it says something of a near registry only.
    [service, ...(rttMs === 20 ? [typed] : []), ...rivals],
    route,
    [source, destination],
    async () => destination.clear(),
  );
  await setRtt(0, source, destination);
  // 94 exchanges; the fresh token: a 401 and the token's own; the root, of a list that is not there.
  bound(`${scenario}: requests`, '= 97', ofOurs.requests, ofOurs.requests === 97);
  const [fastest] = rivals
    .map(({ name }) => rowOf(scenario, name))
    .sort((a, b) => a.wallSeconds.median - b.wallSeconds.median);
  if (rttMs !== 20 || fastest === undefined) return;
  for (const [{ name }, most] of [
    [service, 0.4],
    [us, 0.5],
    [typed, 1],
  ] as const) {
    const ratio = rowOf(scenario, name).wallSeconds.median / fastest.wallSeconds.median;
    const words = `${scenario}: wall of ${name} / ${fastest.contender}`;
    bound(words, `≤ ${most.toFixed(1)}`, ratio.toFixed(2), ratio <= most);
  }
}

/** 20 tags of 5 layers from one repository of a registry to another of the same: all is mounted. */
async function promotion(us: Contender, others: readonly Contender[]): Promise<void> {
  const registry = await startRegistryProcess();
  const repository = 'bench/dev/app';
  try {
    const route = routeOf(registry, registry, repository);
    const scenario = 'promotion within a registry, 20 tags, RTT 20 ms';
    const ofOurs = await compete(scenario, us, others, route, [registry], async () => {
      await setRtt(0, registry);
      await registry.clear();
      for (let tag = 0; tag < 20; tag++) {
        const layers = [0, 1, 2, 3, 4].map((n) => ({ seed: `${tag} ${n}`, sizeBytes: 256 * KIB }));
        await registry.putSyntheticImage({ repository, tag: `1.0.${tag}`, layers });
      }
      await setRtt(20, registry);
    });
    // Two lists, and the root, of the one that is not there; of each tag its manifest, 6 mounts and the PUT.
    bound(`${scenario}: requests`, '= 163', ofOurs.requests, ofOurs.requests === 163);
    bound(`${scenario}: bytes`, '= 0', ofOurs.uploadedBytes, ofOurs.uploadedBytes === 0);
    for (const crane of craneOf(others)) boundTo(scenario, us, crane, 'wall', 0.4);
  } finally {
    await registry.close();
  }
}

async function putShared(source: RegistryProcess, repository: string): Promise<void> {
  for (let tag = 0; tag < 10; tag++) {
    const base = [0, 1, 2, 3].map((layer) => `${repository} ${layer}`);
    const layers = [...base, `${repository} of ${tag}`].map((seed) => ({ seed, sizeBytes: MIB }));
    await source.putSyntheticImage({ repository, tag: `1.0.${tag}`, layers });
  }
}

/** 20 tags that are all there. */
async function unchanged(
  us: Contender,
  others: readonly Contender[],
  source: RegistryProcess,
  destination: RegistryProcess,
): Promise<void> {
  const repository = 'bench/unchanged';
  for (let tag = 0; tag < 20; tag++) {
    const layers = [{ seed: `unchanged-${tag}`, sizeBytes: 16 * KIB }];
    await source.putSyntheticImage({ repository, tag: `1.0.${tag}`, layers });
  }
  const route = routeOf(source, destination, repository);
  const all = [us, ...others];
  // Each contender's own copy is there first.
  for (const contender of all) await contender.run(route, []);
  await setRtt(20, source, destination);
  await compete(
    '20 unchanged tags, RTT 20 ms',
    us,
    others,
    route,
    [source, destination],
    async () => Promise.resolve(),
  );
  await setRtt(0, source, destination);
}

/** One blob of 1 GiB against node:http alone: throughput and processor time. */
async function bigBlob(
  us: Contender,
  others: readonly Contender[],
  destination: RegistryProcess,
): Promise<void> {
  const repository = 'bench/big';
  // Without tokens, which the yardstick does not know of.
  const open = await startRegistryProcess();
  await open.putSyntheticImage({
    repository,
    tag: 'big',
    layers: [{ seed: 'big', sizeBytes: GIB }],
  });
  const route = routeOf(open, destination, repository);
  const { digest, size } = await layerOf(open, repository, 'big');
  const blobUrl = `${open.url}/v2/${repository}/blobs/${digest}`;
  const yardstick = bareNode('node:http', blobUrl, destination.url, digest);
  const curl = spawnSync('curl', ['--version'], { encoding: 'utf8' });
  const pipe = byCommand('curl | curl', '', () => [
    ...(['bash', fileBeside('curl-pipe.sh')] as const),
    ...[blobUrl, destination.url, 'bench/rig/curl', digest, String(size)],
  ]);
  const peersOfOne = [
    ...(curl.status === 0 ? [pipe] : []),
    ...others.filter(({ name }) => name.startsWith('crane')),
  ];
  const scenario = 'one blob of 1 GiB';
  await compete(scenario, us, [yardstick, ...peersOfOne], route, [open, destination], async () =>
    destination.clear(),
  );
  await open.close();
  const mine = rowOf(scenario, us.name);
  const bare = rowOf(scenario, yardstick.name);
  const throughput = bare.wallSeconds.median / mine.wallSeconds.median;
  bound(`${scenario}: throughput / node:http`, '≥ 0.9', throughput.toFixed(2), throughput >= 0.9);
  boundTo(scenario, us, yardstick, 'CPU-seconds', 1.15);
  for (const crane of craneOf(others)) boundTo(scenario, us, crane, 'CPU-seconds', 1.4);
}

/** Node's own client, which does nothing but GET, hash and PUT: what the platform itself costs. */
function bareNode(
  name: string,
  blobUrl: string,
  destinationUrl: string,
  digest: string,
): Contender {
  return byCommand(name, process.version, () => [
    process.execPath,
    fileBeside('node-http.ts'),
    ...[blobUrl, destinationUrl, 'bench/rig/bare', digest],
  ]);
}

function craneOf(others: readonly Contender[]): readonly Contender[] {
  return others.filter(({ name }) => name.startsWith('crane'));
}

/**
 * The same with TLS on both sides. The registries are processes of their own, whose share of a core each
 * row is judged by: what they decrypt and make themselves takes a quarter of what the contenders do.
 */
async function bigBlobOverTls(
  us: Contender,
  others: readonly Contender[],
  folder: string,
): Promise<void> {
  const tls = await certificateFor(hostname(), folder);
  if (tls === undefined) {
    process.stderr.write('without openssl and a host name at 127.0.0.1: no rows over TLS\n');
    return;
  }
  const repository = 'bench/big';
  // Loopback addresses are spoken to over http; the machine's own name is not.
  const byName = (registry: RegistryProcess): RegistryProcess => ({
    ...registry,
    host: registry.host.replace('127.0.0.1', hostname()),
  });
  const source = byName(await startRegistryProcess({ tls }));
  const destination = byName(
    await startRegistryProcess({ dialect: 'artifact-registry', discardBlobs: true, tls }),
  );
  try {
    const layers = [{ seed: 'big', sizeBytes: GIB }];
    await source.putSyntheticImage({ repository, tag: 'big', layers });
    const { digest } = syntheticLayer('big', GIB);
    const scenario = 'one blob of 1 GiB, TLS on both sides';
    const trusting = (one: Contender): Contender => ({
      ...one,
      run: async (route, registries) =>
        withVariables({ NODE_EXTRA_CA_CERTS: tls.file, SSL_CERT_FILE: tls.file }, async () =>
          one.run(route, registries),
        ),
    });
    const urlOf = ({ url }: RegistryProcess): string => url.replace('127.0.0.1', hostname());
    const blobUrl = `${urlOf(source)}/v2/${repository}/blobs/${digest}`;
    const yardstick = bareNode('node:https', blobUrl, urlOf(destination), digest);
    const cranes = craneOf(others);
    const route = routeOf(source, destination, repository);
    await compete(
      scenario,
      trusting(us),
      [yardstick, ...cranes].map(trusting),
      route,
      [source, destination],
      async () => destination.clear(),
    );
    boundTo(scenario, us, yardstick, 'CPU-seconds', 1.15);
    for (const crane of cranes) {
      boundTo(scenario, us, crane, 'CPU-seconds', 1.1);
      boundTo(scenario, us, crane, 'wall', 0.9);
    }
  } finally {
    await Promise.all([source.close(), destination.close()]);
  }
}

interface Certificate {
  readonly key: string;
  readonly cert: string;
  /** The certificate alone, for whoever is to trust it. */
  readonly file: string;
}

/** A certificate that signs itself; undefined where the name is not at 127.0.0.1, or nobody can make one. */
async function certificateFor(name: string, folder: string): Promise<Certificate | undefined> {
  const found = await lookup(name, { all: true, family: 4 }).catch(() => []);
  if (name === 'localhost' || found[0]?.address !== '127.0.0.1') return undefined;
  const [key, file] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const subject = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name}`];
  const files = ['-keyout', key, '-out', file];
  const { status } = spawnSync('openssl', ['req', '-x509', ...kind, ...subject, ...files]);
  if (status !== 0) return undefined;
  return { key: readFileSync(key, 'utf8'), cert: readFileSync(file, 'utf8'), file };
}

/** Runs work whose processes have these variables as well. */
async function withVariables<T>(
  variables: Readonly<Record<string, string>>,
  work: () => Promise<T>,
): Promise<T> {
  Object.assign(process.env, variables);
  try {
    return await work();
  } finally {
    for (const name of Object.keys(variables)) Reflect.deleteProperty(process.env, name);
  }
}

/** VmHWM of the bundled command for one blob of 4 GiB. */
async function peakMemory(
  us: Contender,
  source: RegistryProcess,
  destination: RegistryProcess,
): Promise<void> {
  const repository = 'bench/huge';
  await source.putSyntheticImage({
    repository,
    tag: 'huge',
    layers: [{ seed: 'huge', sizeBytes: 4 * GIB }],
  });
  const route = routeOf(source, destination, repository);
  const { peakBytes } = await us.run(route, [source, destination]);
  const peakMib = peakBytes / MIB;
  bound('VmHWM, one blob of 4 GiB', '≤ 150 MiB', `${peakMib.toFixed(0)} MiB`, peakMib <= 150);
}

/** 8 blobs of 10 MiB over a link of 1.6 MiB/s: nothing is sent twice because it takes long. */
async function slowLink(
  us: Contender,
  source: RegistryProcess,
  destination: RegistryProcess,
): Promise<void> {
  const repository = 'bench/slow';
  const layers = Array.from({ length: 8 }, (_none, n) => ({
    seed: `slow ${n}`,
    sizeBytes: 10 * MIB,
  }));
  await source.putSyntheticImage({ repository, tag: 'slow', layers });
  await destination.clear();
  const link = await openSlowLink(destination.host, 1.6 * MIB);
  try {
    const route = routeOf(source, { ...destination, host: link.host }, repository);
    await us.run(route, [source, destination]);
    const ratio = link.sentBytes / (80 * MIB);
    bound(
      '8 blobs of 10 MiB at 1.6 MiB/s: bytes / needed',
      '≤ 1.02',
      ratio.toFixed(3),
      ratio <= 1.02,
    );
  } finally {
    await link.close();
  }
}

const TEN_ARCHITECTURES = [
  '386',
  'amd64',
  'arm',
  'arm64',
  'loong64',
  'mips64le',
  'ppc64',
  'ppc64le',
  'riscv64',
  's390x',
];

/** An index of ten platforms of 4 MiB each, whole and with two of them wanted. */
async function twoPlatforms(image: BundledImage, destination: RegistryProcess): Promise<void> {
  const repository = 'bench/platforms';
  // Without tokens, so that the index can be pushed.
  const open = await startRegistryProcess();
  await putIndex(open, repository);
  await destination.set({ manifestParts: 'unchecked' });
  const only = '--include=^index$';
  const whole = ourselves(image, 'all platforms', [only]);
  const platforms = '--platform=linux/amd64,linux/arm64';
  const two = ourselves(image, 'two platforms', [only, platforms]);
  const scenario = 'an index of 10 platforms of 4 MiB';
  const route = routeOf(open, destination, repository);
  await compete(scenario, whole, [two], route, [open, destination], async () =>
    destination.clear(),
  );
  await Promise.all([open.close(), destination.set({ manifestParts: 'checked' })]);
  const bytes = ({ name }: Contender): number => rowOf(scenario, name).uploadedMib;
  const ratio = bytes(two) / bytes(whole);
  bound(`${scenario}: bytes of two / of all`, '≤ 0.25', ratio.toFixed(3), ratio <= 0.25);
}

async function putIndex(registry: RegistryProcess, repository: string): Promise<void> {
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  const manifests: object[] = [];
  for (const architecture of TEN_ARCHITECTURES) {
    const layers = [0, 1, 2, 3].map((n) => ({ seed: `${architecture} ${n}`, sizeBytes: MIB }));
    const { digest } = await registry.putSyntheticImage({ repository, tag: architecture, layers });
    const url = `${registry.url}/v2/${repository}/manifests/${digest}`;
    const answer = await fetch(url, { headers: { accept: mediaType } });
    const { byteLength: size } = await answer.arrayBuffer();
    manifests.push({ mediaType, digest, size, platform: { os: 'linux', architecture } });
  }
  const indexType = 'application/vnd.oci.image.index.v1+json';
  const answer = await fetch(`${registry.url}/v2/${repository}/manifests/index`, {
    method: 'PUT',
    headers: { 'content-type': indexType },
    body: JSON.stringify({ schemaVersion: 2, mediaType: indexType, manifests }),
  });
  if (answer.status !== 201) throw new Error(`the index was not taken: ${answer.status}`);
}

/** Runs all contenders in turn, A B C A B C …, and adds their rows; our own figures. */
async function compete(
  scenario: string,
  us: Contender,
  others: readonly Contender[],
  route: Route,
  registries: readonly RegistryProcess[],
  prepare: () => Promise<void>,
): Promise<Measurement> {
  const all = [us, ...others];
  const runs = new Map<Contender, Measurement[]>(all.map((contender) => [contender, []]));
  for (let run = 0; run < runsOfEach; run++) {
    for (const contender of all) {
      await prepare();
      runs.get(contender)?.push(await contender.run(route, registries));
    }
  }
  const walls = (contender: Contender): number[] =>
    (runs.get(contender) ?? []).map(({ wallSeconds }) => wallSeconds);
  for (const contender of all) {
    const measured = runs.get(contender) ?? [];
    const of = (figure: (one: Measurement) => number): number =>
      spreadOf(measured.map(figure)).median;
    rows.push({
      scenario,
      contender: contender.name,
      requests: of(({ requests }) => requests),
      uploadedMib: of(({ uploadedBytes }) => uploadedBytes) / MIB,
      wallSeconds: spreadOf(walls(contender)),
      cpuSeconds: of(({ cpuSeconds }) => cpuSeconds),
      peakMib: of(({ peakBytes }) => peakBytes) / MIB,
      ratio: contender === us ? '' : ratioInWords(ratioOf(walls(us), walls(contender))),
      rigBound: of(({ registryLoad }) => registryLoad) > RIG_BOUND_LOAD,
    });
  }
  const [first] = runs.get(us) ?? [];
  if (first === undefined) throw new Error(`${scenario} did not run`);
  return first;
}

function routeOf(source: RegistryProcess, destination: RegistryProcess, repository: string): Route {
  return {
    source: `${source.host}/${repository}`,
    sourceHost: source.host,
    destinationRegistry: `${destination.host}/bench/rig`,
    destinationHost: destination.host,
  };
}

function fileBeside(name: string): string {
  return join(dirname(fileURLToPath(import.meta.url)), name);
}

async function setRtt(rttMs: number, ...registries: readonly RegistryProcess[]): Promise<void> {
  for (const registry of registries) await registry.set({ rttMs });
}

async function layerOf(
  registry: RegistryProcess,
  repository: string,
  tag: string,
): Promise<{ readonly digest: string; readonly size: number }> {
  const response = await fetch(`${registry.url}/v2/${repository}/manifests/${tag}`, {
    headers: { accept: 'application/vnd.oci.image.manifest.v1+json' },
  });
  const { layers } = (await response.json()) as {
    readonly layers: readonly { readonly digest: string; readonly size: number }[];
  };
  if (layers[0] === undefined) throw new Error(`${repository}:${tag} has no layer`);
  return layers[0];
}

function rowOf(scenario: string, contender: string): Row {
  const row = rows.find((one) => one.scenario === scenario && one.contender === contender);
  if (row === undefined) throw new Error(`no row of ${contender}: ${scenario}`);
  return row;
}

/** Our figure divided by another's. */
function boundTo(
  scenario: string,
  us: Contender,
  other: Contender,
  figure: 'CPU-seconds' | 'wall',
  most: number,
): void {
  const of = ({ name }: Contender): number => {
    const row = rowOf(scenario, name);
    return figure === 'wall' ? row.wallSeconds.median : row.cpuSeconds;
  };
  const ratio = of(us) / of(other);
  bound(`${scenario}: ${figure} / ${other.name}`, `≤ ${most}`, ratio.toFixed(2), ratio <= most);
}

function bound(name: string, wanted: string, measured: number | string, kept: boolean): void {
  bounds.push({ name, bound: wanted, measured: String(measured), kept });
}
