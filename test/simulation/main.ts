// Simulates the engine under thousands of schedules and says which went wrong.
//
//   npm run simulate                              20,000 schedules from seed 1 on
//   npm run simulate -- --seed 7 --count 100      others
//   npm run simulate -- --seed 7 --count 1 --verbose   one, with all its steps
//   npm run simulate -- --broken NAME             with a fault put back
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';

import { BROKEN_ENGINES } from './broken-engines.ts';
import { runCampaign } from './campaign.ts';
import { SITUATIONS } from './judge.ts';
import { runSeed, type RunResult } from './run.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    count: { type: 'string', default: '20000' },
    workers: { type: 'string', default: String(Math.min(8, availableParallelism())) },
    broken: { type: 'string' },
    verbose: { type: 'boolean', default: false },
  },
});

/** Schedules that are printed with all their steps where some went wrong. */
const REPLAYED = 1;

function whole(name: 'seed' | 'count' | 'workers'): number {
  const value = values[name];
  if (!/^\d{1,9}$/.test(value)) throw new Error(`--${name} wants a whole number, not '${value}'`);
  return Number(value);
}

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

async function main(): Promise<number> {
  const { broken, verbose } = values;
  if (broken !== undefined && !(broken in BROKEN_ENGINES)) {
    throw new Error(`--broken wants one of: ${Object.keys(BROKEN_ENGINES).join(', ')}`);
  }
  const startedAtMs = Date.now();
  let runs = 0;
  const result = await runCampaign({
    seed: whole('seed'),
    count: whole('count'),
    workers: whole('workers'),
    ...(broken === undefined ? {} : { broken }),
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
  if (broken !== undefined) return result.wrong.length > 0 ? 0 : 1;
  const shown = verbose ? [{ seed: whole('seed') }] : result.wrong.slice(0, REPLAYED);
  for (const { seed } of shown) await replay(seed);
  return result.wrong.length === 0 ? 0 : 1;
}

process.exitCode = await main();
