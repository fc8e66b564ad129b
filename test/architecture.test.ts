import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

import { localTarget, SourceGraph } from './source-graph.ts';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const files = globSync(['bridge/**/*.ts', 'functions/**/*.ts', 'infra/**/*.ts', 'test/**/*.ts'], {
  cwd: root,
}).sort();
const sources = files.filter((file) => !file.startsWith('test/') || isStandIn(file));

const graph = new SourceGraph(root, files);

function packageName(specifier: string): string | undefined {
  if (specifier.startsWith('.') || specifier.startsWith('node:')) return undefined;
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}

/** Where each package may be imported: one module or folder, by prefix of the path. */
const homes: Readonly<Record<string, readonly string[]>> = {
  got: ['functions/registry/'],
  'p-map': ['functions/mirror/', 'functions/job'],
  'google-auth-library': ['functions/auth/'],
  '@google-cloud/functions-framework': ['functions/index.ts'],
  '@google-cloud/pubsub': ['functions/pubsub/', 'test/stand-ins/pubsub/'],
  '@kubernetes/client-node': ['bridge/'],
  '@opentelemetry/api': ['functions/telemetry/otlp'],
  '@opentelemetry/sdk-metrics': ['functions/telemetry/otlp'],
  '@opentelemetry/resources': ['functions/telemetry/otlp'],
  '@opentelemetry/exporter-metrics-otlp-proto': ['functions/telemetry/otlp'],
  re2js: ['functions/contract/', 'test/stand-ins/flux-scanner/'],
  semver: ['functions/contract/'],
  yaml: ['test/stand-ins/kubernetes/'],
  'ipaddr.js': ['functions/registry/'],
  'prom-client': ['bridge/'],
  '@grpc/grpc-js': ['test/stand-ins/pubsub/'],
  '@grpc/proto-loader': ['test/stand-ins/pubsub/'],
};

/** Who may import whom, by folder: a folder imports itself and the folders listed. */
const leaves = [
  'functions/errors.ts',
  'functions/concurrency.ts',
  'functions/recent-map.ts',
  'functions/watchdog.ts',
  'functions/options/',
  'functions/contract/',
  'functions/oci/',
];
const directions: readonly (readonly [string, readonly string[]])[] = [
  ['functions/errors.ts', []],
  ['functions/concurrency.ts', ['functions/errors.ts']],
  ['functions/recent-map.ts', []],
  ['functions/signals.ts', []],
  ['functions/watchdog.ts', ['functions/concurrency.ts']],
  ['functions/options/', ['functions/errors.ts']],
  ['functions/contract/', ['functions/errors.ts']],
  ['functions/oci/', ['functions/errors.ts']],
  ['functions/telemetry/', ['functions/errors.ts']],
  ['functions/auth/', [...leaves, 'functions/telemetry/']],
  [
    'functions/pubsub/',
    ['functions/errors.ts', 'functions/contract/', 'functions/auth/library.ts'],
  ],
  [
    'functions/registry/',
    [...leaves, 'functions/telemetry/', 'functions/auth/', 'functions/mirror/ports.ts'],
  ],
  ['functions/mirror/', [...leaves, 'functions/telemetry/']],
  [
    'functions/subscriber/',
    [
      ...leaves,
      'functions/telemetry/',
      'functions/mirror/',
      'functions/pubsub/',
      'functions/config.ts',
    ],
  ],
  ['functions/report/', [...leaves, 'functions/telemetry/', 'functions/mirror/']],
  [
    'functions/job/',
    [
      ...leaves,
      'functions/telemetry/',
      'functions/mirror/',
      'functions/subscriber/',
      'functions/report/',
      'functions/pubsub/',
      'functions/registry/request.ts',
      'functions/config.ts',
      'functions/compose.ts',
    ],
  ],
  [
    'bridge/',
    [
      'functions/contract/',
      'functions/telemetry/',
      'functions/options/',
      'functions/pubsub/',
      'functions/errors.ts',
      'functions/concurrency.ts',
      'functions/signals.ts',
      'functions/watchdog.ts',
    ],
  ],
  [
    'infra/',
    ['functions/contract/', 'functions/options/', 'functions/errors.ts', 'test/stand-ins/'],
  ],
  [
    'test/stand-ins/',
    ['functions/contract/', 'functions/options/', 'functions/errors.ts', 'test/random.ts'],
  ],
];

function directionOf(file: string): readonly [string, readonly string[]] | undefined {
  return directions.find(([folder]) => file.startsWith(folder));
}

/** What is started as a process of its own. */
const entries = ['bridge/main.ts', 'functions/index.ts', 'functions/job.ts', 'functions/serve.ts'];

/** The cloud around the product on one machine: held to the rules of the sources. */
function isStandIn(file: string): boolean {
  return file.startsWith('test/stand-ins/');
}

function isProduct(file: string): boolean {
  return /^(bridge|functions)\//.test(file);
}

function names(file: string, entry: string): boolean {
  return [...graph.textsOf(file)].some((text) => text.endsWith(entry));
}

describe('the architecture', () => {
  it('imports run one way', () => {
    const wrong: string[] = [];
    for (const file of sources) {
      const direction = directionOf(file);
      if (direction === undefined) continue;
      const [own, allowed] = direction;
      for (const { specifier } of graph.importsOf(file)) {
        const target = localTarget(file, specifier);
        if (target === undefined) continue;
        if (![own, ...allowed].some((folder) => target.startsWith(folder))) {
          wrong.push(`${file} → ${target}`);
        }
      }
    }
    assert.deepEqual(wrong, []);
  });

  it('loads no OTLP in the bridge', () => {
    const wrong = sources.filter(
      (file) =>
        file.startsWith('bridge/') &&
        reachable(file).some((target) => target.startsWith('functions/telemetry/otlp')),
    );
    assert.deepEqual(wrong, []);
  });

  it('imports nothing of test/ and infra/ in the product', () => {
    const wrong = sources.filter(isProduct).flatMap((file) =>
      graph
        .importsOf(file)
        .map(({ specifier }) => localTarget(file, specifier))
        .filter((target) => target !== undefined && /^(test|infra)\//.test(target))
        .map((target) => `${file} → ${target ?? ''}`),
    );
    assert.deepEqual(wrong, []);
  });

  it('has no import cycle', () => {
    assert.deepEqual(cycleAmong(sources), []);
  });

  it('imports each package in one place', () => {
    const wrong = sources.flatMap((file) =>
      graph
        .importsOf(file)
        .map(({ specifier }) => packageName(specifier))
        .filter((name) => name !== undefined)
        .filter((name) => !(homes[name]?.some((home) => file.startsWith(home)) ?? false))
        .map((name) => `${file} → ${name}`),
    );
    assert.deepEqual(wrong, []);
  });

  it('declares every package it imports, at one exact version', () => {
    const declared = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      readonly dependencies: Record<string, string>;
      readonly devDependencies: Record<string, string>;
    };
    const all = { ...declared.dependencies, ...declared.devDependencies };
    for (const [name, version] of Object.entries(all))
      assert.match(version, /^\d+\.\d+\.\d+/, name);
    for (const file of files) {
      const known = isProduct(file) ? declared.dependencies : all;
      for (const { specifier } of graph.importsOf(file)) {
        const name = packageName(specifier);
        if (name !== undefined) assert.ok(name in known, `${file} → ${name}`);
      }
    }
  });

  it('reaches every exported function of the product from some test', () => {
    const tests = files.filter((file) => file.startsWith('test/'));
    // A test that starts an entry as a process of its own names its path.
    const started = entries.filter((entry) =>
      tests.some((file) => file !== 'test/architecture.test.ts' && names(file, entry)),
    );
    const reached = graph.reachedFrom([...tests, ...started]);
    const unreached = sources
      .filter(isProduct)
      .flatMap((file) => graph.exportedCallables(file).map((name) => `${file} ${name}`))
      .filter((name) => !reached.has(name));
    assert.deepEqual(unreached, []);
  });

  it('keeps the files of the product to what one reads at once', () => {
    const lines = sources
      .filter(isProduct)
      .map((file) => readFileSync(join(root, file), 'utf8').split('\n').length - 1)
      .sort((one, other) => one - other);
    const at = (part: number): number => lines[Math.floor(lines.length * part)] ?? Infinity;
    assert.ok(at(0.5) <= 130, `half of them have up to ${at(0.5)} lines`);
    assert.ok(at(0.9) <= 300, `nine of ten have up to ${at(0.9)} lines`);
  });

  it('uses no vague names for files', () => {
    const vague = /(^|[-/.])(manager|helpers?|utils?|common|data|misc)([-/.]|$)/;
    assert.deepEqual(
      files.filter((file) => !file.startsWith('test/data/') && vague.test(file)),
      [],
    );
  });
});

/** Every file that `file` loads at run time, itself included. */
function reachable(file: string): readonly string[] {
  const seen = new Set<string>();
  const waiting = [file];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (seen.has(next)) continue;
    seen.add(next);
    for (const { specifier, typeOnly } of graph.importsOf(next)) {
      const target = localTarget(next, specifier);
      if (target !== undefined && !typeOnly) waiting.push(target);
    }
  }
  return [...seen];
}

/** The first import cycle found, imports of types counted, as the chain of its files; empty where there is none. */
function cycleAmong(all: readonly string[]): readonly string[] {
  const done = new Set<string>();
  const visit = (file: string, chain: readonly string[]): readonly string[] => {
    if (chain.includes(file)) return [...chain.slice(chain.indexOf(file)), file];
    if (done.has(file)) return [];
    for (const { specifier } of graph.importsOf(file)) {
      const target = localTarget(file, specifier);
      if (target === undefined) continue;
      const cycle = visit(target, [...chain, file]);
      if (cycle.length > 0) return cycle;
    }
    done.add(file);
    return [];
  };
  for (const file of all) {
    const cycle = visit(file, []);
    if (cycle.length > 0) return cycle;
  }
  return [];
}
