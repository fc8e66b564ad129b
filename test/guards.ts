// Proves the security guards: each `// guard: NAME` in the functions is switched off in a copy of
// the project, and exactly the tests named `guard NAME: …` must then fail.
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

interface Guard {
  readonly name: string;
  readonly file: string;
  /** The file's text with the guard's condition always false. */
  readonly disabledText: string;
}

/** The guards of a source text: a marker, and the `if (…)` that begins on its line or below it. */
export function guardsOf(file: string, text: string): readonly Guard[] {
  return [...text.matchAll(/\/\/ guard: ([a-z0-9-]+)/g)].map((marker) => {
    const name = marker[1] ?? '';
    const lineStart = text.lastIndexOf('\n', marker.index) + 1;
    const at = text.indexOf('if (', lineStart);
    if (at < 0 || text.slice(marker.index, at).split('\n').length > 4) {
      throw new Error(`${file}: the marker of guard ${name} stands at no if`);
    }
    const open = at + 'if '.length;
    const close = closingParenthesis(text, open);
    const condition = text.slice(open, close + 1);
    return {
      name,
      file,
      disabledText: `${text.slice(0, open)}(false && ${condition})${text.slice(close + 1)}`,
    };
  });
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
    ['--test', '--test-reporter=tap', '--test-name-pattern=/^guard /', ...files],
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
  const sources = globSync('functions/**/*.ts', { cwd: root });
  const all = sources.flatMap((file) => guardsOf(file, readFileSync(join(root, file), 'utf8')));
  const names = [...new Set(all.map(({ name }) => name))].sort();
  const tests = globSync('test/functions/**/*.test.ts', { cwd: root }).filter((file) =>
    readFileSync(join(root, file), 'utf8').includes('guard '),
  );
  const copy = mkdtempSync(join(tmpdir(), 'imagerepo-mirror-guards-'));
  try {
    for (const folder of ['functions', 'infra', 'test', 'package.json', 'tsconfig.json']) {
      cpSync(join(root, folder), join(copy, folder), { recursive: true });
    }
    symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
    const before = await runGuardTests(copy, tests);
    const untested = names.filter((name) => !before.some((outcome) => outcome.name === name));
    const unmarked = [...new Set(before.map(({ name }) => name))].filter(
      (name) => !names.includes(name),
    );
    const broken = before.filter(({ failed }) => failed);
    let wrong = report('has no test', untested) + report('is tested but marked nowhere', unmarked);
    wrong += report('fails although its guard is on', [...new Set(broken.map(({ name }) => name))]);
    for (const name of wanted.length > 0 ? wanted : names)
      wrong += await proveGuard(copy, tests, name, all);
    process.stdout.write(`${names.length} guards, ${wrong} wrong\n`);
    return wrong === 0 && names.length > 0 ? 0 : 1;
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

/** Switches one guard off wherever it is marked; 0 when exactly its tests fail, else 1. */
async function proveGuard(
  copy: string,
  tests: readonly string[],
  name: string,
  all: readonly Guard[],
): Promise<number> {
  const guards = all.filter((guard) => guard.name === name);
  for (const { file, disabledText } of guards) writeFileSync(join(copy, file), disabledText);
  const outcomes = await runGuardTests(copy, tests);
  for (const { file } of guards) cpSync(join(root, file), join(copy, file));
  const failed = new Set(
    outcomes.filter((outcome) => outcome.failed).map((outcome) => outcome.name),
  );
  const exact = failed.has(name) && failed.size === 1;
  const others = [...failed].filter((other) => other !== name).join(', ');
  process.stdout.write(
    `${exact ? 'ok   ' : 'WRONG'} ${name}${failed.has(name) ? '' : ': its tests pass without it'}` +
      `${others === '' ? '' : `: others fail too: ${others}`}\n`,
  );
  return exact ? 0 : 1;
}

function report(what: string, names: readonly string[]): number {
  for (const name of names) process.stdout.write(`WRONG ${name} ${what}\n`);
  return names.length;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.exitCode = await main(process.argv.slice(2));
}
