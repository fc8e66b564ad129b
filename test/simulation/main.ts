// Simulates the engine under thousands of schedules and says which went wrong.
//
//   npm run simulate                              20,000 schedules from seed 1 on
//   npm run simulate -- --seed 7 --count 100      others
//   npm run simulate -- --seed 7 --count 1 --verbose   one, with all its steps
//   npm run simulate -- --broken NAME             with a fault put back
import { availableParallelism } from 'node:os';

import { MirrorError, isMirrorError } from '../../functions/errors.ts';
import { helpText } from '../../functions/options/help.ts';
import { flag, integer, text } from '../../functions/options/option.ts';
import { parseOptions } from '../../functions/options/parser.ts';
import { BROKEN_ENGINES } from './broken-engines.ts';
import { runCampaign } from './campaign.ts';
import { SITUATIONS } from './judge.ts';
import { runSeed, type RunResult } from './run.ts';

const table = {
  seed: integer({
    flag: '--seed',
    default: 1,
    min: 0,
    max: 999_999_999,
    sentence: 'Seed of the first schedule, the others count on from it; a seed repeats exactly.',
  }),
  count: integer({
    flag: '--count',
    default: 20_000,
    min: 1,
    max: 999_999_999,
    sentence: 'How many schedules.',
  }),
  workers: integer({
    flag: '--workers',
    default: Math.min(8, availableParallelism()),
    min: 1,
    max: 64,
    sentence: 'Threads that run schedules.',
  }),
  broken: text({
    flag: '--broken',
    default: '',
    sentence: `With a fault put back: ${Object.keys(BROKEN_ENGINES).join('; ')}.`,
  }),
  verbose: flag({
    flag: '--verbose',
    default: false,
    sentence: 'Print all steps of the first schedule.',
  }),
};

/** Schedules that are printed with all their steps where some went wrong. */
const REPLAYED = 1;

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function printFindings({ seed, theme, findings }: RunResult): void {
  print(`seed ${seed} (${theme}) went wrong:`);
  for (const finding of findings) print(`  ${finding}`);
}

/** The same schedule again, with its steps; only the engine as it is is in this thread. */
async function replay(seed: number): Promise<void> {
  const { trace } = await runSeed(seed, { tracing: true });
  print(`steps of seed ${seed}, virtual milliseconds first:`);
  for (const step of trace) print(step);
}

async function simulate(argv: readonly string[]): Promise<number> {
  const { seed, count, workers, broken, verbose } = parseOptions(table, argv, {});
  if (broken !== '' && !(broken in BROKEN_ENGINES)) {
    throw new MirrorError(
      'OPTION_INVALID',
      `--broken wants one of: ${Object.keys(BROKEN_ENGINES).join('; ')}`,
      {
        field: '--broken',
      },
    );
  }
  const startedAtMs = Date.now();
  let runs = 0;
  const result = await runCampaign({
    seed,
    count,
    workers,
    ...(broken === '' ? {} : { broken }),
    onResult: (run) => {
      runs += 1;
      if (run.findings.length > 0) printFindings(run);
      if (runs % 1000 === 0) print(`${runs} schedules`);
    },
  });
  const seconds = ((Date.now() - startedAtMs) / 1000).toFixed(1);
  print(
    `${result.runs} schedules, ${result.exchanges} exchanges, ${result.steps} steps in ${seconds} s: ` +
      `${result.wrong.length} went wrong`,
  );
  for (const situation of SITUATIONS) {
    print(`${String(result.situations.get(situation) ?? 0).padStart(7)}  ${situation}`);
  }
  const missed = SITUATIONS.filter((situation) => !result.situations.has(situation));
  if (missed.length > 0) print(`no schedule reached: ${missed.join('; ')}`);
  if (broken !== '') return result.wrong.length > 0 ? 0 : 1;
  const shown = verbose ? [{ seed }] : result.wrong.slice(0, REPLAYED);
  for (const one of shown) await replay(one.seed);
  return result.wrong.length === 0 ? 0 : 1;
}

const argv = process.argv.slice(2);
try {
  if (argv.includes('--help')) {
    const words = { title: 'Simulates the engine', usage: ['npm run simulate -- [options]'] };
    process.stdout.write(helpText(words, table));
  } else {
    process.exitCode = await simulate(argv);
  }
} catch (error) {
  if (!isMirrorError(error, 'OPTION_INVALID')) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 2;
}
