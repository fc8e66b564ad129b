import { googleHosts } from './auth/google.ts';
import { canonicalImageName, parseDestinationRegistry } from './contract/destination.ts';
import type { Verify } from './contract/event.ts';
import { readSelection, requirePatterns, type Selection } from './contract/selection.ts';
import { Fault } from './fault.ts';
import { jobOptions } from './job-options.ts';
import { subscriberOptions, type mirrorOptions } from './option-tables.ts';
import { refuseOption, type OptionValues } from './options/option.ts';
import { parseOptions } from './options/parser.ts';
import { liesWithin, overlaps } from './subscriber/image-pattern.ts';

/** Variables of a process, as `process.env` is. */
export type Environment = Readonly<Record<string, string | undefined>>;

type MirrorOptions = OptionValues<typeof mirrorOptions>;
type SubscriberOptions = OptionValues<typeof subscriberOptions>;
type JobOptions = OptionValues<typeof jobOptions>;

/** Options whose meaning is in {@link Combined}. */
type Parts = 'include' | 'exclude' | 'semver' | 'latest' | 'destinationRegistry';

/** What options mean together. */
interface Combined {
  /** Tags of objects that have no annotation; nothing in it: all. */
  readonly selection: Selection;
  /** Hosts of the images that the operator names: they may be private and are given credentials. */
  readonly namedHosts: readonly string[];
  /** `HOST[/PATH]`, its host in the canonical form. */
  readonly destinationRegistry: string;
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
 * @throws Fault `OPTION_INVALID` naming the option
 */
export function readSubscriberConfig(argv: readonly string[], env: Environment): SubscriberConfig {
  const values = parseOptions(subscriberOptions, argv, env);
  const combined = combine(values, []);
  if (values.jobThresholdBytes === 0 && values.job === undefined) {
    refuseOption('JOB', 'is required where JOB_THRESHOLD_BYTES is 0');
  }
  return { ...values, ...combined };
}

/**
 * Reads the options of the job and the command line. Images become canonical names; their hosts
 * are the operator's.
 * @throws Fault `OPTION_INVALID` naming the option
 */
export function readJobConfig(argv: readonly string[], env: Environment): JobConfig {
  const values = parseOptions(jobOptions, argv, env);
  const images = values.images.map((image) => inOption('--image', () => canonicalImageName(image)));
  const hosts = images.map((image) => image.slice(0, image.indexOf('/')));
  requireOneMode(values);
  requireEffect(values, argv);
  const combined = combine(values, hosts, values.republish === undefined);
  const inside = images.find((image) => liesWithin(image, combined.destinationRegistry));
  // guard: image-in-destination
  if (inside !== undefined) refuseOption('--image', `${inside} lies within the destination`);
  const { verifyTags } = values;
  return {
    ...values,
    images,
    verify: verifyTags,
    verifyTags: verifyTags ?? 'mutable',
    ...combined,
  };
}

/** Exactly one of images, event and subscription says what to do. */
function requireOneMode({
  images,
  event,
  drain,
  republish,
  filter,
  tags,
  output,
}: JobOptions): void {
  const modes = [
    ...(images.length > 0 ? ['--image'] : []),
    ...(event === undefined ? [] : ['EVENT']),
    ...(drain === undefined ? [] : ['--drain']),
  ];
  const [first, second] = modes;
  if (first === undefined) refuseOption('--image', 'is required, or EVENT, or --drain; see --help');
  if (second !== undefined) refuseOption(second, `cannot be given together with ${first}`);
  if (tags.length > 0 && images.length === 0) refuseOption('--tag', 'needs --image');
  if (republish !== undefined && drain === undefined) refuseOption('--republish', 'needs --drain');
  if (filter.length > 0 && republish === undefined) refuseOption('--filter', 'needs --republish');
  if (output === 'json' && drain !== undefined) {
    refuseOption('--output', 'json is for --image and EVENT, not for --drain');
  }
}

/** Flags that mean nothing beside another, or without it: who gives one expects that it does something. */
function requireEffect(values: JobOptions, argv: readonly string[]): void {
  const given = (flag: string): boolean =>
    argv.some((argument) => argument === flag || argument.startsWith(`${flag}=`));
  if (given('--drain-idle') && values.drain === undefined) {
    refuseOption('--drain-idle', 'needs --drain');
  }
  const selecting = ['--include', '--exclude', '--semver', '--latest'].find(given);
  if (selecting !== undefined && values.tags.length > 0) {
    refuseOption(selecting, 'selects nothing beside --tag, which names the tags');
  }
}

/** Checks options against each other. */
function combine(
  values: Omit<MirrorOptions, 'verifyTags'>,
  namedHosts: readonly string[],
  needsDestination = true,
): Combined {
  const given = needsDestination || values.destinationRegistry !== '';
  const destinationRegistry = given ? readDestination(values) : '';
  const overlapping = given
    ? values.allowedSources.find((pattern) => overlaps(pattern, destinationRegistry))
    : undefined;
  // guard: source-overlap
  if (overlapping !== undefined) {
    refuseOption(
      'ALLOWED_SOURCES',
      `has '${overlapping.text}', which overlaps the destination ${destinationRegistry}`,
    );
  }
  if (values.backupTag !== '' && values.onDrift === 'report') {
    refuseOption('--backup-tag (BACKUP_TAG)', 'has no effect beside ON_DRIFT=report');
  }
  inOption('MUTABLE_TAGS', () => {
    requirePatterns([values.mutableTags], 'MUTABLE_TAGS');
  });
  return {
    selection: selectionOf(values),
    namedHosts: [...new Set(namedHosts)],
    destinationRegistry,
  };
}

function readDestination(values: Omit<MirrorOptions, 'verifyTags'>): string {
  const { host, path } = inOption('--destination-registry (DESTINATION_REGISTRY)', () =>
    parseDestinationRegistry(values.destinationRegistry),
  );
  if (values.insecureDestination && googleHosts()(host)) {
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
  const given = {
    ...(include.length === 0 ? {} : { include }),
    ...(exclude.length === 0 ? {} : { exclude }),
    ...(semver === undefined ? {} : { semver }),
    ...(latest === 0 ? {} : { latest }),
  };
  const option = ['include', 'exclude', 'semver'].find((name) => {
    try {
      readSelection({ [name]: given[name as keyof typeof given] }, '');
      return false;
    } catch {
      return true;
    }
  });
  return inOption(`MIRROR_${(option ?? '').toUpperCase()}`, () => readSelection(given, ''));
}

/** What `read` gives; its fault becomes one of the option. @throws Fault `OPTION_INVALID` */
function inOption<T>(name: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof Fault) refuseOption(name, error.message);
    throw error;
  }
}
