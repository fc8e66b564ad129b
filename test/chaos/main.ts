// Mirrors under random faults and watches what comes of it: npm run chaos -- [--scene copy|path] [--runs N] [--seed S].
import { isMirrorError } from '../../functions/errors.ts';
import { helpText } from '../../functions/options/help.ts';
import { choice, integer } from '../../functions/options/option.ts';
import { parseOptions } from '../../functions/options/parser.ts';
import { runCampaign, SCENES } from './campaign.ts';
import type { RunResult } from './run.ts';

const table = {
  runs: integer({
    flag: '--runs',
    default: 100,
    min: 1,
    max: 1_000_000,
    sentence: 'How many runs.',
  }),
  scene: choice({
    flag: '--scene',
    choices: SCENES,
    default: 'copy',
    sentence:
      'copy: the engine between two registries. path: from the cluster to the destination, where connections die without a word.',
  }),
  seed: integer({
    flag: '--seed',
    default: 1,
    min: 0,
    max: 2 ** 31,
    sentence: 'Seed of the first run, the others count on from it; a seed reproduces its run.',
  }),
};

function tell({ seed, faults, findings }: RunResult): void {
  if (findings.length === 0) return;
  process.stdout.write(`WRONG seed ${seed} (${faults.join(', ')})\n`);
  for (const finding of findings) process.stdout.write(`      ${finding}\n`);
}

// Nothing of Google is meant to be found on this machine.
process.env['METADATA_SERVER_DETECTION'] = 'none';

const argv = process.argv.slice(2);
try {
  if (argv.includes('--help')) {
    const words = { title: 'Mirrors under random faults', usage: ['npm run chaos -- [options]'] };
    process.stdout.write(helpText(words, table));
  } else {
    const options = parseOptions(table, argv, {});
    const { runs, deliveries, faults, wrong } = await runCampaign({ ...options, onRun: tell });
    process.stdout.write(
      `${runs} runs, ${deliveries} deliveries, ${faults} faults, ${wrong.length} wrong\n`,
    );
    process.exitCode = wrong.length > 0 ? 1 : 0;
  }
} catch (error) {
  if (!isMirrorError(error, 'OPTION_INVALID')) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 2;
}
