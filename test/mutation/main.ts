// Changes the product in one small place at a time, in a copy, and looks whether a test notices: the
// figure says how far the tests can be trusted. What survives is printed, to be judged by a person: a
// change that no caller can see is none that a test could notice.
//
//   npm run mutate -- [--seed=N] [--count=N] [--workers=N] [--file=PATH …] [--kind=KIND …]
//
// The same seed takes the same sample of the same source. Tests that run the changed place run again
// with it, those that reach the fewest files first, until one fails that passes without the change.
import { spawn } from 'node:child_process';
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { Random } from '../random.ts';
import { copyProject } from '../project-copy.ts';
import { SourceGraph } from '../source-graph.ts';
import { doesRun, runsIn, type Runs } from './runs.ts';
import { MUTANT_KINDS, mutantsOf, mutated, type Mutant, type MutantKind } from './mutants.ts';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');

/** Longest run of one test file without a mutant, ms: a busy machine is slow. */
const UNCHANGED_LIMIT_MS = 300_000;
/** Longest run with one, ms, and in parts of the run without: a mutant may wait for ever. */
const MUTANT_LIMIT_MS = 60_000;
const MUTANT_LIMIT_RUNS = 3;
/** Test files for one mutant: what the nearest do not notice, those far away rarely do. */
const MAX_TEST_FILES = 30;
/** Test files that are looked at for these. */
const MAX_LOOKED_AT = 60;
/** Tests of whole processes, which start what they test and import nothing of it. */
const WHOLE = ['test/flow', 'test/bridge', 'test/functions/start'];

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    count: { type: 'string', default: '250' },
    workers: { type: 'string', default: '1' },
    file: { type: 'string', multiple: true, default: [] },
    kind: { type: 'string', multiple: true, default: [] },
  },
});

/** So many of the items, each as likely as another. */
function sampled<T>(items: readonly T[], count: number, random: Random): readonly T[] {
  const rest = [...items];
  const taken: T[] = [];
  while (taken.length < count && rest.length > 0) {
    taken.push(...rest.splice(random.below(rest.length), 1));
  }
  return taken;
}

const products = globSync('{bridge,functions}/**/*.ts', { cwd: root }).map(slashed).sort();
const tests = globSync('test/**/*.test.ts', { cwd: root })
  .map(slashed)
  .filter(
    (file) => !/^test\/(infra|real|simulation|chaos|bench|mutation|conformance)\//.test(file),
  );
const graph = new SourceGraph(
  root,
  globSync('{bridge,functions,test,infra}/**/*.ts', { cwd: root }).map(slashed),
);

function slashed(path: string): string {
  return path.replaceAll('\\', '/');
}

/** Test file → the files that it reaches. */
const reaches = new Map(
  tests.map((test) => {
    const files = [...graph.reachedFrom([test])].map((key) => key.slice(0, key.indexOf(' ')));
    return [test, new Set(files)] as const;
  }),
);

function testsFor(file: string): readonly string[] {
  const own = `test/${file.replace(/\.ts$/, '.test.ts')}`;
  const near = [...reaches].filter(([, files]) => files.has(file));
  near.sort(
    ([one, left], [other, right]) =>
      Number(other === own) - Number(one === own) || left.size - right.size,
  );
  const names = near.map(([test]) => test);
  const whole = tests.filter(
    (test) => WHOLE.some((folder) => test.startsWith(folder)) && !names.includes(test),
  );
  return [...names.slice(0, MAX_LOOKED_AT), ...(names.length === 0 ? whole : [])];
}

/** What a test file is and runs without a mutant. */
interface Unchanged {
  readonly passes: boolean;
  readonly runs: Runs;
  readonly tookMs: number;
}

const unchanged = new Map<string, Promise<Unchanged>>();

function inUnchanged(test: string, copy: string): Promise<Unchanged> {
  const known = unchanged.get(test) ?? runUnchanged(test, copy);
  unchanged.set(test, known);
  return known;
}

async function runUnchanged(test: string, copy: string): Promise<Unchanged> {
  const folder = mkdtempSync(join(tmpdir(), 'imagerepo-mirror-runs-'));
  try {
    const startedMs = performance.now();
    const isPassed = await passes(test, copy, UNCHANGED_LIMIT_MS, { NODE_V8_COVERAGE: folder });
    const tookMs = performance.now() - startedMs;
    return { passes: isPassed, runs: runsIn(folder, copy), tookMs };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What became of a mutant: the test file that noticed it, or how many did not. */
type Verdict = { readonly noticedBy: string } | { readonly ran: number };

async function verdictOn(mutant: Mutant, copy: string): Promise<Verdict> {
  const { file, kind, start } = mutant;
  const path = join(copy, file);
  const text = readFileSync(path, 'utf8');
  // V8 counts an operator to its right side, which does not run where the left one decides.
  const place = kind === 'logic' ? start - 1 : start;
  let ran = 0;
  // The nearest first, of those that pass without the mutant and run its place.
  for (const test of testsFor(file)) {
    const { passes: isSound, runs, tookMs } = await inUnchanged(test, copy);
    if (!isSound || !doesRun(runs, file, place)) continue;
    const limitMs = Math.max(MUTANT_LIMIT_MS, Math.ceil(MUTANT_LIMIT_RUNS * tookMs));
    writeFileSync(path, mutated(text, mutant));
    try {
      if (!(await passes(test, copy, limitMs))) return { noticedBy: test };
    } finally {
      writeFileSync(path, text);
    }
    ran += 1;
    if (ran === MAX_TEST_FILES) break;
  }
  return { ran };
}

function passes(
  test: string,
  copy: string,
  limitMs: number,
  env: NodeJS.ProcessEnv = {},
): Promise<boolean> {
  // In the runner's own process, which ends with its time: a mutant may loop for ever.
  const args = ['--test', '--test-force-exit', '--test-isolation=none', test];
  const child = spawn(process.execPath, args, {
    cwd: copy,
    stdio: 'ignore',
    timeout: limitMs,
    killSignal: 'SIGKILL',
    env: { ...process.env, METADATA_SERVER_DETECTION: 'none', ...env },
  });
  return new Promise((resolve) => {
    child.once('exit', (code) => {
      resolve(code === 0);
    });
  });
}

const random = new Random(Number(values.seed));
const kinds = new Set<string>(values.kind.length === 0 ? MUTANT_KINDS : values.kind);
const all = products
  .filter((file) => values.file.length === 0 || values.file.includes(file))
  .flatMap((file) => mutantsOf(file, readFileSync(join(root, file), 'utf8')))
  .filter(({ kind }) => kinds.has(kind));
const sample = sampled(all, Number(values.count), random);
process.stdout.write(`${sample.length} of ${all.length} mutants, seed ${values.seed}\n`);

const stats = new Map<MutantKind, { caught: number; survived: number }>();
const waiting = [...sample];
let done = 0;

async function work(): Promise<void> {
  const copy = copyProject();
  try {
    for (let mutant = waiting.shift(); mutant !== undefined; mutant = waiting.shift()) {
      const verdict = await verdictOn(mutant, copy);
      const counts = stats.get(mutant.kind) ?? { caught: 0, survived: 0 };
      stats.set(mutant.kind, counts);
      if ('ran' in verdict) counts.survived += 1;
      else counts.caught += 1;
      done += 1;
      tell(mutant, verdict);
    }
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

function tell(mutant: Mutant, verdict: Verdict): void {
  const { file, line, kind, start, end, replacement } = mutant;
  const before = readFileSync(join(root, file), 'utf8').slice(start, end).replace(/\s+/g, ' ');
  const what =
    'ran' in verdict ? `SURVIVED ${verdict.ran} test files` : `caught by ${verdict.noticedBy}`;
  const change = `${before.slice(0, 80)} → ${replacement.replace(/\s+/g, ' ').slice(0, 80)}`;
  process.stdout.write(`${done}/${sample.length} ${file}:${line} ${kind}: ${change}: ${what}\n`);
}

await Promise.all(Array.from({ length: Number(values.workers) }, work));

const sum = { caught: 0, survived: 0 };
for (const [kind, { caught, survived }] of stats) {
  sum.caught += caught;
  sum.survived += survived;
  process.stdout.write(`${kind.padEnd(14)} ${caught} of ${caught + survived} caught\n`);
}
const share = (100 * sum.caught) / Math.max(1, sum.caught + sum.survived);
process.stdout.write(
  `all            ${sum.caught} of ${sum.caught + sum.survived} caught: ${share.toFixed(1)} %\n`,
);
