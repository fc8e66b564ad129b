import {
  parseDestinationRegistry,
  parseImageName,
  canonicalImageName,
} from '../../functions/contract/destination.ts';
import {
  duration,
  flag,
  integer,
  list,
  refuseOption,
  text,
} from '../../functions/options/option.ts';
import { parseOptions } from '../../functions/options/parser.ts';
import type { OptionValues } from '../../functions/options/option.ts';

/** The options of `npm start`: each stand-in can be replaced by the real thing. */
export const localOptions = {
  once: flag({
    flag: '--once',
    default: false,
    sentence:
      'End once everything has converged and has been verified; exit 0, or 1 with the reason.',
  }),
  kubeconfig: text({
    flag: '--kubeconfig',
    placeholder: 'FILE',
    sentence:
      'Watch the ImageRepositories of this cluster (real Flux scans them) instead of the stand-in.',
  }),
  pubsubEmulatorHost: text({
    flag: '--pubsub-emulator-host',
    placeholder: 'HOST:PORT',
    sentence: "Use Google's Pub/Sub emulator at this address instead of the stand-in.",
    check: (value) => {
      if (!/^[^\s/:]+:\d{1,5}$/.test(value)) throw new Error(`wants HOST:PORT, not '${value}'`);
    },
  }),
  sources: list({
    flag: '--source',
    placeholder: 'IMAGE',
    sentence:
      'Mirror this repository of a real registry instead of the local images; may be repeated.',
    item: (value) => {
      const name = canonicalImageName(value);
      parseImageName(name);
      return value;
    },
  }),
  destinationRegistry: text({
    flag: '--destination-registry',
    placeholder: 'HOST/PATH',
    sentence:
      'Mirror into this registry instead of the stand-in; https unless loopback or --insecure.',
    check: (value) => {
      parseDestinationRegistry(value);
    },
  }),
  insecure: flag({
    flag: '--insecure',
    default: false,
    sentence: 'Speak http to --destination-registry although it is not loopback.',
  }),
  newTagIntervalMs: duration({
    flag: '--new-tag-interval',
    default: '10s',
    max: '168h',
    sentence: 'How often a new tag is pushed to the local source; 0: never.',
  }),
  scanInterval: text({
    flag: '--scan-interval',
    placeholder: 'DURATION',
    default: '5s',
    sentence: 'spec.interval of the ImageRepositories that are created.',
  }),
  timeoutMs: duration({
    flag: '--timeout',
    default: '5m',
    max: '168h',
    sentence: 'With --once: give up when this has passed without convergence.',
  }),
  tagWorkers: integer({
    flag: '--tag-workers',
    default: 4,
    min: 1,
    max: 64,
    sentence: 'Tags copied at once per repository.',
  }),
  logs: flag({
    flag: '--logs',
    default: false,
    sentence: "Show the bridge's and the functions' log lines instead of the view.",
  }),
};

/** See {@link localOptions}. */
export type LocalOptions = OptionValues<typeof localOptions>;

/**
 * Reads the options of `npm start`.
 * @throws MirrorError `OPTION_INVALID` naming the option
 */
export function parseLocalOptions(argv: readonly string[]): LocalOptions {
  const options = parseOptions(localOptions, argv, {});
  if (options.insecure && options.destinationRegistry === undefined) {
    refuseOption('--insecure', 'needs --destination-registry');
  }
  if (options.kubeconfig !== undefined && options.sources.length > 0) {
    refuseOption(
      '--source',
      "cannot be given with --kubeconfig: that cluster's objects name the sources",
    );
  }
  return options;
}
