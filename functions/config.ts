import { googleHosts } from './auth/google.ts';
import { canonicalImageName, parseDestinationRegistry } from './contract/destination.ts';
import type { Verify } from './contract/event.ts';
import { defined } from './contract/fields.ts';
import { normalPlatforms } from './contract/platform.ts';
import type { Selection } from './contract/selection.ts';
import { MirrorError } from './errors.ts';
import { jobOptions } from './job-options.ts';
import { subscriberOptions, type mirrorOptions } from './option-tables.ts';
import { refuseOption, type OptionValues } from './options/option.ts';
import { givenOptions, parseOptions, refuseWithoutEffect } from './options/parser.ts';
import { projectOf } from './pubsub/client.ts';
import { liesWithin, matchesImage, overlaps } from './subscriber/image-pattern.ts';

/** Variables of a process, as `process.env` is. */
export type Environment = Readonly<Record<string, string | undefined>>;

type MirrorOptions = OptionValues<typeof mirrorOptions>;
type SubscriberOptions = OptionValues<typeof subscriberOptions>;
type JobOptions = OptionValues<typeof jobOptions>;

/** Options whose meaning is in {@link Combined}. */
type Parts = 'include' | 'exclude' | 'semver' | 'latest' | 'destinationRegistry' | 'platforms';

/** What options mean together. */
interface Combined {
  /** Tags of objects that have no annotation; nothing in it: all. */
  readonly selection: Selection;
  /** In normal form, or `all` alone; empty: nothing is said. */
  readonly platforms: readonly string[];
  /** Hosts of the images that the operator names: they may be private and are given credentials. */
  readonly namedHosts: readonly string[];
  /** `HOST[/PATH]`, its host in the canonical form. */
  readonly destinationRegistry: string;
  /** Whether it runs on Cloud Run: a mounted secret may be filled after the start. */
  readonly deployed: boolean;
}

/** Configuration that every entry has. */
export interface MirrorConfig extends Omit<MirrorOptions, Parts>, Combined {}

/** Configuration of the Cloud Run service. */
export interface SubscriberConfig extends Omit<SubscriberOptions, Parts>, Combined {}

/** Configuration of the job and the command line. */
export interface JobConfig extends Omit<JobOptions, Parts | 'verifyTags'>, Combined {
  /** Of events that do not say. */
  readonly verifyTags: Verify;
  /** What `--verify` says, for `--image`. */
  readonly verify: Verify | undefined;
}

/**
 * Reads the service's options.
 * @throws MirrorError `OPTION_INVALID` naming the option
 */
export function readSubscriberConfig(argv: readonly string[], env: Environment): SubscriberConfig {
  const values = parseOptions(subscriberOptions, argv, env);
  const combined = combine(values, env, []);
  if (values.jobThresholdBytes === 0 && values.job === undefined) {
    refuseOption('JOB', 'is required where JOB_THRESHOLD_BYTES is 0');
  }
  const given = givenOptions(subscriberOptions, argv, env);
  const isOn = values.jobThresholdBytes >= 0;
  if (!isOn)
    refuseWithoutEffect(given, ['job'], 'is never started where JOB_THRESHOLD_BYTES is -1');
  if (values.job === undefined) {
    // -1 says what is so without a job.
    refuseWithoutEffect(
      given,
      [...(isOn ? (['jobThresholdBytes'] as const) : []), 'runApiEndpoint'],
      'needs JOB',
    );
  }
  if (values.bulkTopic === undefined) refuseWithoutEffect(given, ['batchTags'], 'needs BULK_TOPIC');
  requireUsableCredentials(values, combined, given.get('dockerConfigFile'));
  return { ...values, ...combined };
}

/**
 * Reads the options of the job and the command line. Images become canonical names; their hosts
 * are the operator's.
 * @throws MirrorError `OPTION_INVALID` naming the option
 */
export function readJobConfig(argv: readonly string[], env: Environment): JobConfig {
  const values = parseOptions(jobOptions, argv, env);
  const images = values.images.map((image) => inOption('--image', () => canonicalImageName(image)));
  const hosts = images.map((image) => image.slice(0, image.indexOf('/')));
  const way = wayOf(values);
  const combined = combine(values, env, hosts, way !== '--republish');
  const given = jobGiven(argv, env);
  requireEffect(values, images, way, given);
  requireUsableCredentials(values, combined, given.get('dockerConfigFile'));
  const inside = images.find((image) => liesWithin(image, combined.destinationRegistry));
  // guard: image-in-destination
  if (inside !== undefined) refuseOption('--image', `${inside} lies within the destination`);
  const { verifyTags, drain = '' } = values;
  return {
    ...values,
    projectId: values.projectId ?? projectOf(drain),
    images,
    verify: verifyTags,
    verifyTags: verifyTags ?? 'mutable',
    ...combined,
  };
}

/** What the job or the command line is to do. */
type Way = '--image' | 'EVENT' | '--drain' | '--republish';

/** Exactly one of images, event and subscription says what to do. */
function wayOf({ images, event, drain, republish, filter, tags, output }: JobOptions): Way {
  const ways: readonly Way[] = [
    ...(images.length > 0 ? ['--image' as const] : []),
    ...(event === undefined ? [] : ['EVENT' as const]),
    ...(drain === undefined ? [] : ['--drain' as const]),
  ];
  const [first, second] = ways;
  if (first === undefined) refuseOption('--image', 'is required, or EVENT, or --drain; see --help');
  if (second !== undefined) refuseOption(second, `cannot be given together with ${first}`);
  if (tags.length > 0 && images.length === 0) refuseOption('--tag', 'needs --image');
  if (republish !== undefined && drain === undefined) refuseOption('--republish', 'needs --drain');
  if (filter.length > 0 && republish === undefined) refuseOption('--filter', 'needs --republish');
  if (output === 'json' && drain !== undefined) {
    refuseOption('--output', 'json is for --image and EVENT, not for --drain');
  }
  return republish === undefined ? first : '--republish';
}

type JobOption = keyof typeof jobOptions;

/** Ways that mirror. */
const MIRRORING: readonly Way[] = ['--image', 'EVENT', '--drain'];
/** Ways in which events of a cluster are executed. */
const EXECUTING: readonly Way[] = ['EVENT', '--drain'];
/**
 * The ways in which an option does something; one that is not named does in all. The variables of
 * Google Cloud and of OpenTelemetry are other programs' too, so they may be set where nothing needs them.
 */
const USED_BY: Readonly<Partial<Record<JobOption, readonly Way[]>>> = {
  drainIdleMs: ['--drain', '--republish'],
  taskTimeoutSeconds: ['EVENT', '--drain', '--republish'],
  taskMaxRetries: ['EVENT'],
  workers: ['--image', '--drain'],
  destinationRegistry: MIRRORING,
  destinationLayout: MIRRORING,
  tagWorkers: MIRRORING,
  include: MIRRORING,
  exclude: MIRRORING,
  semver: MIRRORING,
  latest: MIRRORING,
  verifyTags: MIRRORING,
  mutableTags: MIRRORING,
  onDrift: MIRRORING,
  backupTag: MIRRORING,
  platforms: MIRRORING,
  referrers: MIRRORING,
  googleRegistryHosts: MIRRORING,
  privateHosts: MIRRORING,
  insecureSources: MIRRORING,
  insecureDestination: MIRRORING,
  sourceCaFile: MIRRORING,
  dockerConfigFile: MIRRORING,
  local: MIRRORING,
  allowedSources: EXECUTING,
  allowedDestinations: EXECUTING,
  resyncVerify: EXECUTING,
  maxMissingTags: EXECUTING,
  deadLetterTopic: EXECUTING,
  acceptFluxEvents: ['--drain'],
};
const SELECTING = ['include', 'exclude', 'semver', 'latest'] as const;

/** A Cloud Run job has one set of variables for all ways in which it is executed: there the flags alone count. */
function jobGiven(argv: readonly string[], env: Environment): ReadonlyMap<JobOption, string> {
  return givenOptions(jobOptions, argv, isDeployed(env) ? {} : env);
}

/** @throws MirrorError `OPTION_INVALID` with an option that was given and does nothing */
function requireEffect(
  values: JobOptions,
  images: readonly string[],
  way: Way,
  given: ReadonlyMap<JobOption, string>,
): void {
  for (const [option, ways] of Object.entries(USED_BY)) {
    if (ways.includes(way)) continue;
    refuseWithoutEffect(given, [option as JobOption], `is for ${wordsOf(ways)}, not for ${way}`);
  }
  if (values.tags.length > 0) {
    refuseWithoutEffect(given, SELECTING, 'selects nothing beside --tag, which names the tags');
  }
  if (way !== '--image') return;
  if (values.verifyTags !== 'mutable') {
    refuseWithoutEffect(given, ['mutableTags'], 'needs --verify=mutable beside --image');
  }
  const useless = values.insecureSources.find(
    (pattern) => !images.some((image) => matchesImage(pattern, image)),
  );
  if (useless !== undefined) {
    const reason = `has '${useless.text}', which no --image matches`;
    refuseWithoutEffect(given, ['insecureSources'], reason);
  }
}

/** Where no source may be given credentials and Google's own are the destination's, a docker config is for nobody. */
function requireUsableCredentials(
  { allowedSources }: Pick<MirrorOptions, 'allowedSources'>,
  { destinationRegistry, namedHosts, deployed }: Combined,
  writtenAs: string | undefined,
): void {
  const isUsed =
    allowedSources.length > 0 ||
    namedHosts.length > 0 ||
    !googleHosts()(destinationRegistry.split('/', 1)[0] ?? '');
  if (isUsed || deployed || writtenAs === undefined) return;
  refuseOption(writtenAs, 'has no effect: it is used for ALLOWED_SOURCES, and there are none');
}

function wordsOf(ways: readonly Way[]): string {
  return ways.length < 3 ? ways.join(' and ') : ways.join(', ').replace(/, (?=[^,]*$)/, ' and ');
}

/** Cloud Run's container contract: what it calls its service or its job. */
const isDeployed = (env: Environment): boolean =>
  (env['K_SERVICE'] ?? env['CLOUD_RUN_JOB']) !== undefined;

/** Checks options against each other. */
function combine(
  values: Omit<MirrorOptions, 'verifyTags'>,
  env: Environment,
  namedHosts: readonly string[],
  needsDestination = true,
): Combined {
  const given = needsDestination || values.destinationRegistry !== '';
  const destinationRegistry = given ? readDestination(values) : '';
  const clash = values.allowedSources.find((one) => given && overlaps(one, destinationRegistry));
  // guard: source-overlap
  if (clash !== undefined) {
    const reason = `has '${clash.text}', which overlaps the destination ${destinationRegistry}`;
    refuseOption('ALLOWED_SOURCES', reason);
  }
  if (values.backupTag !== '' && values.onDrift === 'report') {
    refuseOption('--backup-tag (BACKUP_TAG)', 'has no effect beside ON_DRIFT=report');
  }
  return {
    selection: selectionOf(values),
    platforms: inOption('--platform (PLATFORMS)', () => normalPlatforms(values.platforms.flat())),
    namedHosts: [...new Set(namedHosts)],
    destinationRegistry,
    deployed: isDeployed(env),
  };
}

function readDestination(values: Omit<MirrorOptions, 'verifyTags'>): string {
  const { host, path } = inOption('--destination-registry (DESTINATION_REGISTRY)', () =>
    parseDestinationRegistry(values.destinationRegistry),
  );
  if (values.insecureDestination && googleHosts()(new URL(`http://${host}`).host)) {
    refuseOption(
      '--insecure-destination (INSECURE_DESTINATION)',
      `has no effect: ${host} is spoken to over TLS only`,
    );
  }
  return path === '' ? host : `${host}/${path}`;
}

/** The selection that the four `MIRROR_…` options say. */
function selectionOf({
  include,
  exclude,
  semver,
  latest,
}: Omit<MirrorOptions, 'verifyTags'>): Selection {
  return defined({
    include: include.length === 0 ? undefined : include,
    exclude: exclude.length === 0 ? undefined : exclude,
    semver,
    latest: latest || undefined,
  });
}

/** What `read` gives; its fault becomes one of the option. @throws MirrorError `OPTION_INVALID` */
function inOption<T>(name: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof MirrorError) refuseOption(name, error.message);
    throw error;
  }
}
