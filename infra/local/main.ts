// The demo. Registries, Pub/Sub, the cluster and its scanner around it are the stand-ins of test/stand-ins/.
import { isMirrorError } from '../../functions/errors.ts';
import { helpText } from '../../functions/options/help.ts';

import { runLocal } from './local.ts';
import { localOptions, parseLocalOptions } from './options.ts';

const help = helpText(
  {
    title:
      'Runs imagerepo-mirror on one machine: source, scans, Pub/Sub, bridge, mirror, destination.',
    usage: ['npm start', 'npm start -- --once', 'npm start -- --source ghcr.io/org/app'],
    after: [
      'Without options everything outside the project is a stand-in that speaks the real protocol;\n' +
        '--kubeconfig, --pubsub-emulator-host, --source and --destination-registry put the real thing\n' +
        'in its place. Ctrl-C ends it.',
      'Exit codes: 0 ended as asked; 1 something failed, the last lines say what; 2 bad option.',
    ],
  },
  localOptions,
);

async function main(argv: readonly string[]): Promise<number> {
  if (argv.includes('--help')) {
    process.stdout.write(help);
    return 0;
  }
  const options = parseLocalOptions(argv);
  // The local Pub/Sub needs no credentials; without this the client looks for a metadata server.
  process.env['METADATA_SERVER_DETECTION'] ??= 'none';
  const stop = new AbortController();
  const interrupt = (): void => {
    stop.abort();
  };
  // However often: the processes that were started are stopped in order.
  process.on('SIGINT', interrupt);
  process.on('SIGTERM', interrupt);
  // Whoever reads may go (`| head`).
  process.stdout.on('error', interrupt);
  return runLocal(options, process.stdout, stop.signal);
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!isMirrorError(error, 'OPTION_INVALID', 'KUBECONFIG_INVALID')) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 2;
}
