import { helpText } from '../functions/options/help.ts';
import { refuseOption, type OptionValues } from '../functions/options/option.ts';
import { givenOptions, parseOptions, refuseWithoutEffect } from '../functions/options/parser.ts';
import { bridgeOptions } from './options.ts';

/** The bridge's options, read and checked. */
export type BridgeConfig = OptionValues<typeof bridgeOptions>;

/** A renewal's jitter in client-go's leader election (`JitterFactor`). */
const JITTER_FACTOR = 1.2;

/**
 * Reads the options from the command line and the environment.
 * @throws MirrorError `OPTION_INVALID` naming the option
 */
export function readConfig(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): BridgeConfig {
  const config = parseOptions(bridgeOptions, argv, env);
  requireLeaseTimes(config);
  if (config.timeoutMs === 0) refuseOption('--timeout', 'must not be 0');
  // A pod's variables may be those of the Deployment and of the backfill both: there the flags alone count.
  const isPod = env['KUBERNETES_SERVICE_HOST'] !== undefined;
  requireWay(config, givenOptions(bridgeOptions, argv, isPod ? {} : env));
  requireEffect(config, givenOptions(bridgeOptions, argv, env));
  return config;
}

type BridgeOption = keyof typeof bridgeOptions;

const FOR_ONCE: readonly BridgeOption[] = ['names', 'tags', 'timeoutMs', 'verify'];
const FOR_ELECTION: readonly BridgeOption[] = [
  'leaseDurationMs',
  'renewDeadlineMs',
  'retryPeriodMs',
  'releaseOnCancel',
];
/** What the watch alone does: the replay, changes, resyncs, and its servers. */
const FOR_WATCH: readonly BridgeOption[] = [
  ...FOR_ELECTION,
  'metricsAddr',
  'healthAddr',
  'concurrent',
  'resyncIntervalMs',
  'followUpMs',
  'replayOnStart',
];

/** @throws MirrorError `OPTION_INVALID` with an option that was given and is for the other way of running */
function requireWay(config: BridgeConfig, given: ReadonlyMap<BridgeOption, string>): void {
  if (!config.once) {
    refuseWithoutEffect(given, FOR_ONCE, 'is for --once');
    return;
  }
  refuseWithoutEffect(given, FOR_WATCH, 'is not for --once');
  if (config.enableLeaderElection) {
    refuseWithoutEffect(given, ['enableLeaderElection'], 'is not for --once');
  }
  // A full name tells the project of topics that are named without one.
  if (!config.topic.includes('/') || config.project !== undefined) {
    refuseWithoutEffect(given, ['topic'], 'is not for --once, which publishes to --bulk-topic');
  }
}

/** @throws MirrorError `OPTION_INVALID` with an option that was given and does nothing beside the others */
function requireEffect(config: BridgeConfig, given: ReadonlyMap<BridgeOption, string>): void {
  if (config.once) {
    if (config.tags.length > 0 && config.names.length === 0) {
      refuseOption(given.get('tags') ?? '--tags', 'wants --name: tags are those of one repository');
    }
    return;
  }
  if (!config.enableLeaderElection) {
    refuseWithoutEffect(given, FOR_ELECTION, 'needs --enable-leader-election');
  }
  if (!config.replayOnStart && config.resyncIntervalMs === 0) {
    refuseWithoutEffect(given, ['replayRate'], 'is for replay and resync, and both are off');
  }
}

/** client-go's own conditions on the three times of leader election. */
function requireLeaseTimes(config: BridgeConfig): void {
  if (!config.enableLeaderElection) return;
  if (config.retryPeriodMs <= 0) refuseOption('--leader-election-retry-period', 'must not be 0');
  if (config.renewDeadlineMs <= config.retryPeriodMs * JITTER_FACTOR) {
    refuseOption(
      '--leader-election-renew-deadline',
      `must be longer than ${JITTER_FACTOR} times --leader-election-retry-period`,
    );
  }
  if (config.leaseDurationMs <= config.renewDeadlineMs) {
    refuseOption(
      '--leader-election-lease-duration',
      'must be longer than --leader-election-renew-deadline',
    );
  }
  if (config.leaseDurationMs < 1000) {
    refuseOption('--leader-election-lease-duration', 'must be at least 1s: a Lease counts seconds');
  }
}

/** The text of `--help`. */
export function bridgeHelp(): string {
  return helpText(
    {
      title: 'imagerepo-mirror bridge: tells Pub/Sub when a Flux ImageRepository has changed',
      usage: [
        'bridge [OPTION]…',
        'bridge --once [--timeout 5m] [--name NAMESPACE/NAME]… [--tags TAG[,TAG]]…',
      ],
      after: [
        `Examples:
  bridge --project my-project --topic events --bulk-topic bulk --enable-leader-election
  bridge --watch-label-selector 'sharding.fluxcd.io/key=shard1'
  bridge --once --project my-project --dry-run
  bridge --once --project my-project --name flux-system/podinfo --verify all
  bridge --once --project my-project --name flux-system/podinfo --tags 6.2.0,6.2.1`,
        `Annotations of an ImageRepository:
  imagerepo-mirror.io/enabled: "false"        not mirrored
  imagerepo-mirror.io/requestedAt: TEXT       any new value: mirrored now, all tags verified
  imagerepo-mirror.io/destination: team/app   path below the destination registry
  imagerepo-mirror.io/include: RE2            one pattern a line; only tags that match any
  imagerepo-mirror.io/exclude: RE2            one pattern a line; no tags that match any
  imagerepo-mirror.io/semver: ">=1.2.0 <3"    only versions in the range
  imagerepo-mirror.io/latest: "20"            the newest so many of what the others keep
  imagerepo-mirror.io/sort-by: semver         what newest means; or alphabetical, numerical
  imagerepo-mirror.io/platforms: linux/amd64  of an index only what these platforms pull; or all
  An object with an invalid annotation is not published until it is mended.`,
        `Exit codes:
  0   ended by a signal; --once: every event was accepted
  1   --once: an object could not be published, or was not found
  2   an option or the kubeconfig is wrong`,
      ],
    },
    bridgeOptions,
  );
}
