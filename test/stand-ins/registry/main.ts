import { isFault } from '../../../functions/fault.ts';
import { helpText } from '../../../functions/options/help.ts';
import type { OptionValues } from '../../../functions/options/option.ts';
import { parseOptions } from '../../../functions/options/parser.ts';
import { seedImages } from '../images/seed.ts';
import { storeTarget } from '../images/target.ts';
import { TokenIssuer } from '../metadata/token-issuer.ts';
import { selfSignedCertificate } from './certificate.ts';
import { startControl } from './control.ts';
import { registryOptions } from './options.ts';
import { startRegistry } from './registry.ts';

/**
 * Runs a registry until SIGINT or SIGTERM. Prints one line of JSON when it listens: `host`, `url`,
 * `downloadUrl`, `controlUrl` and, with TLS, the certificate as `ca`.
 */
async function main(options: OptionValues<typeof registryOptions>): Promise<void> {
  const { users, tokenSecret } = options;
  const tls = options.tls ? selfSignedCertificate() : undefined;
  const registry = await startRegistry({
    personality: options.personality,
    port: options.port,
    discardBlobs: options.discardBlobs,
    switches: Object.assign({}, ...options.switches) as object,
    ...(tls === undefined ? {} : { tls }),
    ...(users.length > 0 || options.bearer
      ? { auth: { scheme: 'bearer', users: Object.fromEntries(users.map(toPair)) } }
      : {}),
    ...(tokenSecret === undefined
      ? {}
      : { google: { accessTokens: new TokenIssuer({ secret: tokenSecret }) } }),
  });
  if (options.seed) await seedImages(storeTarget(registry.store));
  const control = await startControl(registry, options.controlPort);
  const { host, url, downloadUrl } = registry;
  const line = { host, url, downloadUrl, controlUrl: control.url, ca: tls?.cert };
  process.stdout.write(`${JSON.stringify(line)}\n`);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      void Promise.all([registry.close(), control.close()]);
    });
  }
}

function toPair(word: string): readonly [string, string] {
  const [name = '', ...rest] = word.split(':');
  return [name, rest.join(':')];
}

const argv = process.argv.slice(2);
if (argv.includes('--help')) {
  process.stdout.write(
    helpText(
      {
        title: 'registry: an in-memory OCI registry on loopback, for tests and benchmarks',
        usage: ['node test/stand-ins/registry/main.ts [options]'],
      },
      registryOptions,
    ),
  );
} else {
  try {
    await main(parseOptions(registryOptions, argv, process.env));
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = isFault(error, 'OPTION_INVALID') ? 2 : 1;
  }
}
