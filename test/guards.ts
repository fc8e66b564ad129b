// Proves the security guards: each is switched off in a copy of the project, and exactly the tests
// named `guard NAME: …` must then fail. A guard is marked in one of two forms:
//
//   // guard: NAME                              the condition of the `if` that begins on this line or
//   if (…) throw …                              within 3 lines below becomes false;
//
//   CODE // guard: NAME, without: OTHER CODE    where no `if` decides, OTHER CODE takes the place of
//                                               all the code on this line.
//
// Several markers may have one name where each alone would do: they are switched off together.
//
//   npm run guards                 all guards
//   npm run guards -- NAME …       only these
import { spawn } from 'node:child_process';
import {
  cpSync,
  globSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');

/** One marker: what of its file is replaced by what, so that the guard is off. */
export interface Guard {
  readonly name: string;
  readonly file: string;
  /** Characters from the beginning of the file; `end` is the first that stays. */
  readonly start: number;
  readonly end: number;
  readonly replacement: string;
}

/** Code before a marker, its name, and what stands in the code's place without the guard. */
const MARKER = /^(.*?)\/\/ guard: ([a-z0-9-]+)(?:, without: (\S.*))?$/;
/** Lines from a marker to the `if` that it marks. */
const REACH_LINES = 3;

/** The guards of a source text, in their order. @throws Error at a marker of neither form */
export function guardsOf(file: string, text: string): readonly Guard[] {
  const guards: Guard[] = [];
  let start = 0;
  for (const line of text.split('\n')) {
    const isProse = /^\s*\*/.test(line);
    if (/\/\/ *guard\b/i.test(line) && !isProse) guards.push(guardAt(file, text, line, start));
    start += line.length + 1;
  }
  return guards;
}

/** The guard whose marker is on the line that begins at `start`. */
function guardAt(file: string, text: string, line: string, start: number): Guard {
  const [, code = '', name, without] = MARKER.exec(line) ?? [];
  if (name === undefined) throw new Error(`${file}: a malformed marker: ${line.trim()}`);
  if (without !== undefined) {
    if (code.trim() === '') throw new Error(`${file}: guard ${name} replaces no code`);
    return { name, file, start, end: start + code.length, replacement: `${without} ` };
  }
  const at = text.indexOf('if (', start);
  const linesBetween = at < 0 ? Infinity : text.slice(start, at).split('\n').length - 1;
  if (linesBetween > REACH_LINES || (code.trim() !== '' && linesBetween > 0)) {
    throw new Error(`${file}: the marker of guard ${name} stands at no if`);
  }
  const open = at + 'if '.length;
  const end = closingParenthesis(text, open) + 1;
  return { name, file, start: open, end, replacement: `(false && ${text.slice(open, end)})` };
}

/** The text of a file with some of its guards off. */
export function withoutGuards(text: string, guards: readonly Guard[]): string {
  return guards
    .toSorted((one, other) => other.start - one.start)
    .reduce(
      (rest, { start, end, replacement }) => rest.slice(0, start) + replacement + rest.slice(end),
      text,
    );
}

function closingParenthesis(text: string, open: number): number {
  let depth = 0;
  for (let at = open; at < text.length; at++) {
    const character = text[at];
    if (character === '(') depth++;
    if (character === ')' && --depth === 0) return at;
  }
  throw new Error('a parenthesis is not closed');
}

interface Outcome {
  readonly name: string;
  readonly failed: boolean;
}

/** Runs the tests named `guard …` of a checkout and tells which failed. */
async function runGuardTests(
  folder: string,
  files: readonly string[],
): Promise<readonly Outcome[]> {
  const child = spawn(
    process.execPath,
    [
      '--test',
      '--test-reporter=tap',
      '--test-name-pattern=/^guard /',
      // One process for all files takes a third of the time of one for each.
      '--test-isolation=none',
      // Without its guard a test may wait for ever, which is a way to fail.
      '--test-timeout=60000',
      ...files,
    ],
    {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'ignore'],
      env: { ...process.env, METADATA_SERVER_DETECTION: 'none', NODE_TEST_CONTEXT: undefined },
    },
  );
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  await new Promise((resolve) => child.once('close', resolve));
  return [...output.matchAll(/^\s*(not ok|ok) \d+ - guard ([a-z0-9-]+): .*$/gm)]
    .filter(([line]) => !line.includes('# SKIP'))
    .map(([, verdict, name]) => ({ name: name ?? '', failed: verdict === 'not ok' }));
}

async function main(wanted: readonly string[]): Promise<number> {
  const copy = mkdtempSync(join(tmpdir(), 'imagerepo-mirror-guards-'));
  try {
    for (const part of ['bridge', 'functions', 'infra', 'test', 'package.json', 'tsconfig.json']) {
      cpSync(join(root, part), join(copy, part), { recursive: true });
    }
    symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
    return await proveAll(copy, wanted);
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

/** Proves the wanted guards of a copy of the project, or all; 0 when all is as it should be. */
async function proveAll(copy: string, wanted: readonly string[]): Promise<number> {
  const read = (file: string): string => readFileSync(join(copy, file), 'utf8');
  const sources = globSync('{bridge,functions}/**/*.ts', { cwd: copy });
  const guards = sources.flatMap((file) => guardsOf(file, read(file)));
  const names = [...new Set(guards.map(({ name }) => name))].sort();
  const tests = globSync('test/{bridge,functions}/**/*.test.ts', { cwd: copy }).filter((file) =>
    read(file).includes('guard '),
  );
  const run = async (): Promise<readonly Outcome[]> => runGuardTests(copy, tests);
  const before = await run();
  const tested = new Set(before.map(({ name }) => name));
  const broken = before.filter(({ failed }) => failed).map(({ name }) => name);
  let wrong = report(
    'has no test',
    names.filter((name) => !tested.has(name)),
  );
  wrong += report(
    'is tested but marked nowhere',
    [...tested].filter((name) => !names.includes(name)),
  );
  wrong += report('fails although its guard is on', [...new Set(broken)]);
  for (const name of wanted.length > 0 ? wanted : names) {
    const own = guards.filter((guard) => guard.name === name);
    const texts = new Map(own.map(({ file }) => [file, read(file)]));
    for (const [file, text] of texts) {
      const here = own.filter((guard) => guard.file === file);
      writeFileSync(join(copy, file), withoutGuards(text, here));
    }
    wrong += judge(name, await run(), before.length);
    for (const [file, text] of texts) writeFileSync(join(copy, file), text);
  }
  process.stdout.write(`${names.length} guards, ${wrong} wrong\n`);
  return wrong === 0 && names.length > 0 ? 0 : 1;
}

/** Says what the tests came to without a guard; 0 when all ran, all its own failed and no other, else 1. */
function judge(name: string, outcomes: readonly Outcome[], testCount: number): number {
  const own = outcomes.filter((outcome) => outcome.name === name);
  const passed = own.filter(({ failed }) => !failed).length;
  const others = new Set(
    outcomes.filter((one) => one.failed && one.name !== name).map((one) => one.name),
  );
  const faults = [
    ...(own.length > 0 && passed === 0
      ? []
      : [`${passed} of its ${own.length} tests pass without it`]),
    ...(others.size === 0 ? [] : [`others fail too: ${[...others].join(', ')}`]),
    ...(outcomes.length === testCount ? [] : [`${outcomes.length} of ${testCount} tests ran`]),
  ];
  process.stdout.write(
    `${[`${faults.length === 0 ? 'ok   ' : 'WRONG'} ${name}`, ...faults].join(': ')}\n`,
  );
  return faults.length === 0 ? 0 : 1;
}

function report(what: string, names: readonly string[]): number {
  for (const name of names) process.stdout.write(`WRONG ${name} ${what}\n`);
  return names.length;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.exitCode = await main(process.argv.slice(2));
}
