import { inspect } from 'node:util';

import { SYSTEM_TIMING } from './concurrency.ts';
import { readJobConfig } from './config.ts';
import { jobOptions } from './job-options.ts';
import { run } from './job/run.ts';
import { helpText } from './options/help.ts';
import { ignoreProxyVariables } from './options/proxy-variables.ts';
import { configured, refused, watched } from './start.ts';
import { processEnd } from './subscriber/delivery-deadline.ts';
import { createLogger } from './telemetry/logger.ts';

const HELP = helpText(
  {
    title: 'imagerepo-mirror job - mirrors images, one event, or a backlog of events',
    usage: [
      'npm run mirror -- --image NAME --destination-registry HOST[/PATH] [options]',
      'EVENT=JSON node functions/job.ts --destination-registry HOST[/PATH] [options]',
      'npm run mirror -- --drain SUBSCRIPTION --destination-registry HOST[/PATH] [options]',
      'npm run mirror -- --drain SUBSCRIPTION --republish TOPIC [--filter code=CODE] [options]',
    ],
    after: [
      'Examples:\n' +
        '  npm run mirror -- --image ghcr.io/org/app --destination-registry localhost:5000/mirror\n' +
        '  npm run mirror -- --image alpine --tag 3.20 --tag latest --destination-registry \\\n' +
        '      europe-docker.pkg.dev/my-project/mirror --dry-run\n' +
        '  npm run mirror -- --image ghcr.io/org/app --destination-registry localhost:5000 -o json',
      'A host that --image or --destination-registry names may have a private address and is given\n' +
        'its credentials; loopback is spoken to over http.',
      'Exit codes of --image: 0 everything is there, 1 something failed, drifted or was lost, 2 bad usage.\n' +
        'Of EVENT and --drain: 0 nothing is left that another run could do, 1 something is, 2 bad usage.\n' +
        'Of all: 70 a defect: work that can never settle, which standard error names.',
    ],
  },
  jobOptions,
);

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;

/** Whoever reads may go (`| head`), and a disk may be full: the work ends in order then, and with 1. */
function onOutputLost(endWork: () => void): void {
  let isTold = false;
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', ({ message }) => {
      process.exitCode = 1;
      if (isTold) return;
      isTold = true;
      endWork();
      if (stream === process.stdout) {
        process.stderr.write(`standard output cannot be written: ${message}\n`);
      }
    });
  }
}

async function main(): Promise<number> {
  const end = processEnd(SYSTEM_TIMING.now);
  onOutputLost(() => {
    end.tell();
  });
  if (process.argv.includes('--help')) {
    process.stdout.write(HELP);
    return 0;
  }
  const config = configured(() => readJobConfig(process.argv.slice(2), process.env));
  const ignored = ignoreProxyVariables();
  if (ignored.length > 0) {
    process.stderr.write(`proxy variables are ignored: ${ignored.join(', ')}\n`);
  }
  for (const signal of SIGNALS) {
    process.once(signal, () => {
      end.tell();
    });
  }
  const { stdout, stderr } = process;
  const parts = { config, env: process.env, end, streams: { stdout, stderr } };
  // Structured where the job runs in the cloud, for a person at the command line.
  const encoding = config.images.length > 0 || stdout.isTTY ? 'console' : 'json';
  const logger = createLogger({ encoding, write: (line) => stderr.write(line) });
  return watched('run the job', logger, async () => run(parts).catch(refused));
}

/** Waits until whoever reads a stream has taken what was written, or is gone. */
function taken(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    stream.write('', () => {
      resolve();
    });
  });
}

/** Time before a handle that a library left open is overruled. */
const LINGER_MS = 2000;

// No top-level await: the image's file is a CommonJS module, which starts sooner.
void main()
  .catch((error: unknown) => {
    // A defect ends it with another code than 0 whatever else listens for it.
    process.stderr.write(`${inspect(error)}\n`);
    return 1;
  })
  .then(async (code) => {
    process.exitCode ??= code;
    // The work is over: whoever waits for a slow reader may be ended.
    for (const signal of SIGNALS) process.removeAllListeners(signal);
    await Promise.all([process.stdout, process.stderr].map(taken));
    setTimeout(() => process.exit(), LINGER_MS).unref();
  });
