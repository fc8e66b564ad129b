// Proves the security guards, in a copy of the project:
//
//   off        the guard is switched off: exactly the tests named `guard NAME: …` must fail, each by an
//              assertion or because it waits in vain, not by a crash;
//   always     it refuses everything: some test of its file must notice;
//   operands   its condition has several parts: each is left out in turn, and some test must notice.
//
// A guard is marked in one of two forms:
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
//   npm run guards -- --strict     fails for the weak ones as well, of which no test misses all or a part
//   npm run guards -- --part=3/10  every tenth, beginning with the third: a part of all for each day
import { spawn } from 'node:child_process';
import { globSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import ts from 'typescript';

import { copyProject } from './project-copy.ts';

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

/** Replaces a part of a text. */
interface Change {
  readonly start: number;
  readonly end: number;
  readonly replacement: string;
}

/** The text of a file with some of its guards off. */
export function withoutGuards(text: string, guards: readonly Change[]): string {
  return guards
    .toSorted((one, other) => other.start - one.start)
    .reduce(
      (rest, { start, end, replacement }) => rest.slice(0, start) + replacement + rest.slice(end),
      text,
    );
}

/** What a guard refuses too much with: its condition always holds. Undefined: it is no `if`. */
export function refusingAll(text: string, { start, end, replacement }: Guard): Change | undefined {
  if (!replacement.startsWith('(false && ')) return undefined;
  return { start, end, replacement: `(true || ${text.slice(start, end)})` };
}

/** The ways to leave out one part of a condition that has several, joined by `||` or by `&&`. */
export function withoutOperands(text: string, guard: Guard): readonly Change[] {
  if (!guard.replacement.startsWith('(false && ')) return [];
  const source = ts.createSourceFile(
    'guard.ts',
    text.slice(guard.start, guard.end),
    ts.ScriptTarget.Latest,
    true,
  );
  const [statement] = source.statements;
  if (statement === undefined || !ts.isExpressionStatement(statement)) return [];
  const condition = bare(statement.expression);
  const operator = operatorOf(condition);
  if (operator === undefined) return [];
  const nothing = operator === ts.SyntaxKind.BarBarToken ? 'false' : 'true';
  return operandsOf(condition, operator).map((operand) => ({
    start: guard.start + operand.getStart(source),
    end: guard.start + operand.getEnd(),
    // The words stay, so that the types are what they were.
    replacement:
      nothing === 'false'
        ? `(false && (${operand.getText(source)}))`
        : `(true || (${operand.getText(source)}))`,
  }));
}

function bare(expression: ts.Expression): ts.Expression {
  return ts.isParenthesizedExpression(expression) ? bare(expression.expression) : expression;
}

function operatorOf(expression: ts.Expression): ts.SyntaxKind | undefined {
  if (!ts.isBinaryExpression(expression)) return undefined;
  const { kind } = expression.operatorToken;
  const joins =
    kind === ts.SyntaxKind.BarBarToken || kind === ts.SyntaxKind.AmpersandAmpersandToken;
  return joins ? kind : undefined;
}

function operandsOf(expression: ts.Expression, operator: ts.SyntaxKind): readonly ts.Expression[] {
  if (!ts.isBinaryExpression(expression) || expression.operatorToken.kind !== operator) {
    return [expression];
  }
  return [...operandsOf(expression.left, operator), ...operandsOf(expression.right, operator)];
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
  /** It failed by a crash: neither by an assertion nor by waiting too long. */
  readonly crashed: boolean;
}

/** Without its guard a test may wait for ever, which is a way to fail. */
const TEST_LIMIT_MS = 60_000;

/** A test that failed, in TAP. */
const FAILED = /^\s*not ok /m;

/** Runs test files of a checkout, to the end or to what is looked for; what the runner said, as TAP. */
async function runTests(
  folder: string,
  args: readonly string[],
  lookedFor?: RegExp,
): Promise<string> {
  const child = spawn(
    process.execPath,
    [
      '--test',
      '--test-reporter=tap',
      `--test-timeout=${TEST_LIMIT_MS}`,
      // One process for all files takes a third of the time of one for each.
      '--test-isolation=none',
      ...args,
    ],
    {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: 5 * TEST_LIMIT_MS,
      killSignal: 'SIGKILL',
      env: { ...process.env, METADATA_SERVER_DETECTION: 'none', NODE_TEST_CONTEXT: undefined },
    },
  );
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
    if (lookedFor?.test(output) === true) child.kill('SIGKILL');
  });
  await new Promise((resolve) => child.once('close', resolve));
  return output;
}

/** Runs the tests named `guard …` of a checkout and tells which failed, and how. */
async function runGuardTests(
  folder: string,
  files: readonly string[],
): Promise<readonly Outcome[]> {
  return outcomesOf(await runTests(folder, ['--test-name-pattern=/^guard /', ...files]));
}

/** The outcomes of the tests named `guard …`, of what the runner says as TAP. */
export function outcomesOf(tap: string): readonly Outcome[] {
  const lines = [...tap.matchAll(/^\s*(not ok|ok) \d+ - (.*)$/gm)];
  return lines.flatMap((line, at) => {
    const [text, verdict, title = ''] = line;
    const name = /^guard ([a-z0-9-]+): /.exec(title)?.[1];
    if (name === undefined || text.includes('# SKIP')) return [];
    const details = tap.slice(line.index, lines[at + 1]?.index);
    const failed = verdict === 'not ok';
    const isRight =
      /code: 'ERR_ASSERTION'|name: 'AssertionError'|testTimeoutFailure|cancelledByParent/;
    return [{ name, failed, crashed: failed && !isRight.test(details) }];
  });
}

async function main(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    options: {
      part: { type: 'string', default: '1/1' },
      strict: { type: 'boolean', default: false },
    },
    allowPositionals: true,
  });
  const [first = 1, step = 1] = values.part.split('/').map(Number);
  const copy = copyProject();
  try {
    return await proveAll(
      copy,
      (names) =>
        positionals.length > 0 ? positionals : names.filter((_name, at) => at % step === first - 1),
      values.strict,
    );
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

/** Proves the chosen guards of a copy of the project; 0 when all is as it should be. */
async function proveAll(
  copy: string,
  choose: (names: readonly string[]) => readonly string[],
  strict: boolean,
): Promise<number> {
  const read = (file: string): string => readFileSync(join(copy, file), 'utf8');
  const sources = globSync('{bridge,functions}/**/*.ts', { cwd: copy });
  const guards = sources.flatMap((file) => guardsOf(file, read(file)));
  const names = [...new Set(guards.map(({ name }) => name))].sort();
  const all = globSync('test/{bridge,functions}/**/*.test.ts', { cwd: copy });
  const tests = all.filter((file) => read(file).includes('guard '));
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
  const chosen = choose(names);
  let weakCount = 0;
  for (const name of chosen) {
    const own = guards.filter((guard) => guard.name === name);
    const texts = new Map(own.map(({ file }) => [file, read(file)]));
    const change = (changesOf: (text: string, guard: Guard) => readonly Change[]): void => {
      for (const [file, text] of texts) {
        const here = own.filter((guard) => guard.file === file);
        const changes = here.flatMap((guard) => changesOf(text, guard));
        writeFileSync(join(copy, file), withoutGuards(text, changes));
      }
    };
    change((_text, guard) => [guard]);
    const outcomes = await run();
    const faults = faultsOf(name, outcomes, before.length);
    const weak = [...weaknessesOf(name, outcomes)];
    // The tests that a wrong condition must stand out in: of the guard, and of its file.
    const near = all.filter(
      (test) =>
        read(test).includes(`guard ${name}:`) ||
        own.some(({ file }) => test === `test/${file.replace(/\.ts$/, '.test.ts')}`),
    );
    // The first is enough: where everything is refused, others wait a minute each for what never comes.
    const isNoticed = async (): Promise<boolean> => FAILED.test(await runTests(copy, near, FAILED));
    if (own.some((guard) => refusingAll(texts.get(guard.file) ?? '', guard) !== undefined)) {
      change((text, guard) => [refusingAll(text, guard)].filter((one) => one !== undefined));
      if (!(await isNoticed())) weak.push('nobody notices that it refuses everything');
    }
    for (const guard of own) {
      for (const operand of withoutOperands(texts.get(guard.file) ?? '', guard)) {
        change((_text, one) => (one === guard ? [operand] : []));
        if (await isNoticed()) continue;
        const words = (texts.get(guard.file) ?? '').slice(operand.start, operand.end);
        weak.push(`nobody misses its part ${words.replace(/\s+/g, ' ')}`);
      }
    }
    for (const [file, text] of texts) writeFileSync(join(copy, file), text);
    const verdict = faults.length > 0 ? 'WRONG' : weak.length > 0 ? 'weak ' : 'ok   ';
    process.stdout.write(`${[`${verdict} ${name}`, ...faults, ...weak].join(': ')}\n`);
    if (faults.length > 0) wrong += 1;
    else if (weak.length > 0) weakCount += 1;
  }
  process.stdout.write(
    `${chosen.length} of ${names.length} guards, ${wrong} wrong, ${weakCount} weak\n`,
  );
  const failed = wrong + (strict ? weakCount : 0);
  return failed === 0 && chosen.length > 0 ? 0 : 1;
}

/** What is wrong with the tests' outcomes without a guard: all ran, all its own failed as they should, and no other. */
function faultsOf(
  name: string,
  outcomes: readonly Outcome[],
  testCount: number,
): readonly string[] {
  const own = outcomes.filter((outcome) => outcome.name === name);
  const passed = own.filter(({ failed }) => !failed).length;
  const others = new Set(
    outcomes.filter((one) => one.failed && one.name !== name).map((one) => one.name),
  );
  return [
    ...(own.length > 0 && passed === 0
      ? []
      : [`${passed} of its ${own.length} tests pass without it`]),
    ...(others.size === 0 ? [] : [`others fail too: ${[...others].join(', ')}`]),
    ...(outcomes.length === testCount ? [] : [`${outcomes.length} of ${testCount} tests ran`]),
  ];
}

/** What the tests of a guard would not tell: they fail, but not for its sake. */
function weaknessesOf(name: string, outcomes: readonly Outcome[]): readonly string[] {
  const own = outcomes.filter((outcome) => outcome.name === name);
  const crashed = own.filter((outcome) => outcome.crashed).length;
  return crashed === 0 ? [] : [`${crashed} of its ${own.length} tests crash without it`];
}

function report(what: string, names: readonly string[]): number {
  for (const name of names) process.stdout.write(`WRONG ${name} ${what}\n`);
  return names.length;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.exitCode = await main(process.argv.slice(2));
}
