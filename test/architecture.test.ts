import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const files = globSync(['bridge/**/*.ts', 'functions/**/*.ts', 'infra/**/*.ts', 'test/**/*.ts'], {
  cwd: root,
}).sort();
const sources = files.filter((file) => !file.startsWith('test/'));

interface Import {
  readonly specifier: string;
  /** Erased at run time: it binds the compiler, not the process. */
  readonly typeOnly: boolean;
}

const imports = new Map(
  files.map((file) => [file, importsOf(readFileSync(join(root, file), 'utf8'))]),
);

/** Static, dynamic and re-exporting imports of a source text. */
function importsOf(text: string): readonly Import[] {
  const code = text.replace(/^\s*(\/\/|\*|\/\*).*$/gm, '');
  const found: Import[] = [];
  for (const match of code.matchAll(
    /(?:^|\n)\s*(?:import|export)\s+(type\s)?(?:[^'"();]*?\sfrom\s+)?'([^']+)'/g,
  )) {
    found.push({ specifier: match[2] ?? '', typeOnly: match[1] !== undefined });
  }
  for (const match of code.matchAll(/\bimport\(\s*'([^']+)'\s*\)/g)) {
    found.push({ specifier: match[1] ?? '', typeOnly: false });
  }
  return found;
}

function localTarget(file: string, specifier: string): string | undefined {
  return specifier.startsWith('.')
    ? relative(root, join(root, dirname(file), specifier))
    : undefined;
}

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
  '@google-cloud/functions-framework': ['functions/index.ts', 'functions/serve'],
  '@google-cloud/pubsub': ['functions/pubsub/', 'infra/local/pubsub/'],
  '@kubernetes/client-node': ['bridge/'],
  '@opentelemetry/api': ['functions/telemetry/otlp'],
  '@opentelemetry/sdk-metrics': ['functions/telemetry/otlp'],
  '@opentelemetry/resources': ['functions/telemetry/otlp'],
  '@opentelemetry/exporter-metrics-otlp-proto': ['functions/telemetry/otlp'],
  re2js: ['functions/contract/', 'infra/local/scanner/'],
  semver: ['functions/contract/'],
  'ipaddr.js': ['functions/registry/'],
  'prom-client': ['bridge/'],
  '@grpc/grpc-js': ['infra/local/pubsub/'],
  '@grpc/proto-loader': ['infra/local/pubsub/'],
};

/** Who may import whom, by folder: a folder imports itself and the folders listed. */
const leaves = [
  'functions/fault.ts',
  'functions/concurrency.ts',
  'functions/watchdog.ts',
  'functions/options/',
  'functions/contract/',
  'functions/oci/',
];
const directions: readonly (readonly [string, readonly string[]])[] = [
  ['functions/fault.ts', []],
  ['functions/concurrency.ts', ['functions/fault.ts']],
  ['functions/watchdog.ts', ['functions/concurrency.ts']],
  ['functions/options/', ['functions/fault.ts']],
  ['functions/contract/', ['functions/fault.ts']],
  ['functions/oci/', ['functions/fault.ts']],
  ['functions/telemetry/', ['functions/fault.ts']],
  ['functions/auth/', [...leaves, 'functions/telemetry/']],
  ['functions/pubsub/', ['functions/fault.ts', 'functions/contract/', 'functions/auth/library.ts']],
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
  [
    'bridge/',
    [
      'functions/contract/',
      'functions/telemetry/',
      'functions/options/',
      'functions/pubsub/',
      'functions/fault.ts',
      'functions/watchdog.ts',
    ],
  ],
  ['infra/', ['functions/contract/', 'functions/options/', 'functions/fault.ts']],
];

function directionOf(file: string): readonly [string, readonly string[]] | undefined {
  return directions.find(([folder]) => file.startsWith(folder));
}

/** Files that are wiring or types only and need no mirrored test of their own. */
function needsNoTest(file: string): boolean {
  const text = readFileSync(join(root, file), 'utf8');
  const exportsCode = /^export (async )?(function|const|class|abstract)/m.test(text);
  return /(^|\/)main\.ts$/.test(file) || !exportsCode;
}

/** A stand-in may be driven as a whole, as its product is: over its protocol. */
function isTestedThroughItsProtocol(file: string): boolean {
  const part = /^infra\/local\/[^/]+\//.exec(file)?.[0];
  return (
    part !== undefined &&
    files.some((other) => other.startsWith(`test/${part}`) && other.endsWith('.test.ts'))
  );
}

describe('the architecture', () => {
  it('imports run one way', () => {
    const wrong: string[] = [];
    for (const file of sources) {
      const direction = directionOf(file);
      if (direction === undefined) continue;
      const [own, allowed] = direction;
      for (const { specifier } of imports.get(file) ?? []) {
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

  it('imports nothing of the tests outside the tests', () => {
    const wrong = sources.flatMap((file) =>
      (imports.get(file) ?? [])
        .map(({ specifier }) => localTarget(file, specifier))
        .filter((target) => target?.startsWith('test/'))
        .map((target) => `${file} → ${target ?? ''}`),
    );
    assert.deepEqual(wrong, []);
  });

  it('has no import cycle', () => {
    assert.deepEqual(cycleAmong(sources), []);
  });

  it('imports each package in one place', () => {
    const wrong = sources.flatMap((file) =>
      (imports.get(file) ?? [])
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
      const known = /^(bridge|functions)\//.test(file) ? declared.dependencies : all;
      for (const { specifier } of imports.get(file) ?? []) {
        const name = packageName(specifier);
        if (name !== undefined) assert.ok(name in known, `${file} → ${name}`);
      }
    }
  });

  it('mirrors every source file with a test', () => {
    const untested = sources
      .filter((file) => !needsNoTest(file))
      .filter((file) => !existsSync(join(root, 'test', file.replace(/\.ts$/, '.test.ts'))))
      .filter((file) => !isTestedThroughItsProtocol(file));
    assert.deepEqual(untested, []);
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
    for (const { specifier, typeOnly } of imports.get(next) ?? []) {
      const target = localTarget(next, specifier);
      if (target !== undefined && !typeOnly) waiting.push(target);
    }
  }
  return [...seen];
}

/** The first import cycle found, as the chain of its files; empty where there is none. */
function cycleAmong(all: readonly string[]): readonly string[] {
  const done = new Set<string>();
  const visit = (file: string, chain: readonly string[]): readonly string[] => {
    if (chain.includes(file)) return [...chain.slice(chain.indexOf(file)), file];
    if (done.has(file)) return [];
    for (const { specifier, typeOnly } of imports.get(file) ?? []) {
      const target = localTarget(file, specifier);
      if (target === undefined || typeOnly) continue;
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
