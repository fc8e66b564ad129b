// Measures what tests must not assert:
// `npm run bench -- [copy|memory|bridge|subscriber]… [--runs N] [--only NAME] [--json] [--check]`.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { MirrorError } from '../../functions/errors.ts';
import { helpText } from '../../functions/options/help.ts';
import { flag, integer, text } from '../../functions/options/option.ts';
import { parseOptions } from '../../functions/options/parser.ts';

/** What a benchmark is asked for. */
export interface BenchOptions {
  /** Print one JSON document instead of a table. */
  readonly json: boolean;
  /** Fail when a bound is missed. */
  readonly check: boolean;
  /** Runs of each contender, in turn, 1 to 100. */
  readonly runs: number;
  /** Only the scenarios of `copy` whose names begin like this. */
  readonly only: string;
}

const table = {
  json: flag({ flag: '--json', default: false, sentence: 'Print one JSON document a benchmark.' }),
  check: flag({ flag: '--check', default: false, sentence: 'Exit 1 when a bound is missed.' }),
  runs: integer({
    flag: '--runs',
    default: 7,
    min: 1,
    max: 100,
    sentence: 'Runs of each contender, in turn.',
  }),
  only: text({
    flag: '--only',
    default: '',
    sentence:
      'Only scenarios whose names begin so. copy: shared, unchanged, promotion, big …; subscriber: cold-start …',
  }),
};
const benchmarks = ['copy', 'memory', 'bridge', 'subscriber'] as const;

/** Runs the named benchmarks one after the other; the number of missed bounds. */
async function run(names: readonly string[], options: BenchOptions): Promise<number> {
  let missed = 0;
  for (const name of names) {
    const file = new URL(`${name}.ts`, import.meta.url);
    if (!existsSync(fileURLToPath(file))) throw new Error(`there is no benchmark ${name}`);
    const module = (await import(file.href)) as {
      readonly bench: (options: BenchOptions) => Promise<number>;
    };
    missed += await module.bench(options);
  }
  return missed;
}

const argv = process.argv.slice(2);
const firstOption = argv.findIndex((argument) => argument.startsWith('-'));
const names = firstOption === -1 ? argv : argv.slice(0, firstOption);
try {
  const unknown = names.find((name) => !(benchmarks as readonly string[]).includes(name));
  if (unknown !== undefined) {
    throw new MirrorError(
      'OPTION_INVALID',
      `${unknown} is no benchmark: ${benchmarks.join(', ')}`,
      {
        field: unknown,
      },
    );
  }
  if (argv.includes('--help')) {
    process.stdout.write(
      helpText(
        { title: 'Measures imagerepo-mirror', usage: ['npm run bench -- [NAME…] [options]'] },
        table,
      ),
    );
  } else {
    const options = parseOptions(table, argv.slice(names.length), {});
    const missed = await run(names.length > 0 ? names : benchmarks, options);
    process.exitCode = options.check && missed > 0 ? 1 : 0;
  }
} catch (error) {
  if (!(error instanceof MirrorError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 2;
}
