import { composeEngine } from './compose.ts';
import { readJobConfig, type JobConfig } from './config.ts';
import { mirrorImages } from './job/images.ts';
import { jobOptions } from './option-tables.ts';
import { helpText } from './options/help.ts';
import { refuseOption } from './options/option.ts';
import { progressLine, type Progress } from './report/progress.ts';
import { isFailed, reportDocument, type RunResult } from './report/report-document.ts';
import { repositoryLine, summaryLines, tagLine } from './report/report-lines.ts';
import { configured } from './start.ts';
import { createLogger } from './telemetry/logger.ts';

const HELP = helpText(
  {
    title: 'imagerepo-mirror job - mirrors images once, without Pub/Sub',
    usage: [
      'npm run mirror -- --image NAME --destination-registry HOST[/PATH] [options]',
      'EVENT=JSON node functions/job.ts --destination-registry HOST[/PATH] [options]',
    ],
    after: [
      'Examples:\n' +
        '  npm run mirror -- --image ghcr.io/org/app --destination-registry localhost:5000/mirror\n' +
        '  npm run mirror -- --image alpine --tag 3.20 --tag latest --destination-registry \\\n' +
        '      europe-docker.pkg.dev/my-project/mirror --dry-run\n' +
        '  npm run mirror -- --image ghcr.io/org/app --destination-registry localhost:5000 -o json',
      'A host that --image or --destination-registry names may have a private address and is given\n' +
        'its credentials; loopback is spoken to over http.',
      'Exit codes: 0 everything is there, 1 something failed, 2 bad usage.',
    ],
  },
  jobOptions,
);

/** Mirrors the images and reports. */
async function runImages(config: JobConfig, signal: AbortSignal): Promise<RunResult> {
  // The report has standard output for itself.
  const logger = createLogger({
    level: config.logLevel,
    encoding: 'console',
    write: (line) => process.stderr.write(line),
  });
  const engine = composeEngine(config, logger, { dryRun: config.dryRun, countRequests: false });
  const asText = config.output === 'text';
  const progress: Progress = progressLine(print, process.stderr, Date.now);
  try {
    return await mirrorImages(
      config,
      engine,
      {
        onRecord: (image, record) => {
          progress.tag();
          if (asText) progress.line(tagLine(image, record));
        },
        onBytes: (count) => {
          progress.bytes(count);
        },
        onRepository: (result) => {
          if (asText) progress.line(repositoryLine(result));
        },
      },
      signal,
    );
  } finally {
    progress.end();
    engine.close();
  }
}

function report(config: JobConfig, run: RunResult): void {
  if (config.output === 'json') print(JSON.stringify(reportDocument(run), undefined, 2));
  else summaryLines(run).forEach(print);
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Aborted by Ctrl-C or Cloud Run's SIGTERM: what is under way is left, and reported as failed. */
function endingSignal(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      controller.abort();
    });
  }
  return controller.signal;
}

async function main(): Promise<number> {
  if (process.argv.includes('--help')) {
    process.stdout.write(HELP);
    return 0;
  }
  const config = configured(() => {
    const read = readJobConfig(process.argv.slice(2), process.env);
    if (read.images.length === 0) refuseOption('--image', 'or EVENT is required; see --help');
    return read;
  });
  const run = await runImages(config, endingSignal());
  report(config, run);
  const lost =
    config.tags.length > 0 && run.repositories.some((one) => (one.report?.counts.lost ?? 0) > 0);
  return lost || run.repositories.some(isFailed) ? 1 : 0;
}

process.exitCode = await main();
