import { DESTINATION_LAYOUTS } from './contract/destination.ts';
import { VERIFY } from './contract/event.ts';
import { canonicalHost } from './contract/host.ts';
import { DEFAULT_MUTABLE_TAGS, requirePatterns } from './contract/patterns.ts';
import { ALL_PLATFORMS, parsePlatform } from './contract/platform.ts';
import { requireRange } from './contract/selection.ts';
import { parseBackupTag } from './mirror/backup-tag.ts';
import { choice, flag, integer, list, text } from './options/option.ts';
import { parseDestinationGrant, parseImagePattern } from './subscriber/image-pattern.ts';
import { LOG_LEVELS } from './telemetry/severity.ts';

/** A topic's id, or its full name (Pub/Sub resource names: 3 to 255 characters). */
export const TOPIC = /^(projects\/[^/\s]+\/topics\/)?[a-zA-Z][\w.~+%-]{2,254}$/;

/** A Cloud Run job's full name. */
const JOB = /^projects\/[^/\s]+\/locations\/[^/\s]+\/jobs\/[^/\s]+$/;

/** 10 GiB: what one delivery of 540 s can bring at some 20 MiB/s, with room. */
const JOB_THRESHOLD_BYTES = 10 * 1024 ** 3;

/** Options of every entry: what is mirrored, from where, to where, and how. */
export const mirrorOptions = {
  destinationRegistry: text({
    flag: '--destination-registry',
    env: 'DESTINATION_REGISTRY',
    placeholder: 'HOST[/PATH]',
    default: '',
    sentence:
      'Registry to mirror into; on Artifact Registry LOCATION-docker.pkg.dev/PROJECT/REPOSITORY. Required.',
  }),
  destinationLayout: choice({
    flag: '--destination-layout',
    env: 'DESTINATION_LAYOUT',
    choices: DESTINATION_LAYOUTS,
    default: 'host-path',
    sentence:
      'Path below the registry: host-path keeps host and path, path the path, name its last part; the latter two can collide.',
  }),
  tagWorkers: integer({
    flag: '--tag-workers',
    env: 'TAG_WORKERS',
    default: 4,
    min: 1,
    max: 64,
    sentence:
      'Tags of one ImageRepository whose blobs wait for streams at once; three times as many are under way in all.',
  }),
  allowedSources: list({
    flag: '--allowed-source',
    env: 'ALLOWED_SOURCES',
    placeholder: 'PATTERN',
    item: parseImagePattern,
    sentence:
      'Images that may be mirrored, such as ghcr.io/my-org/*; credentials are used for these only. Empty: any public host, anonymously.',
  }),
  include: list({
    flag: '--include',
    env: 'MIRROR_INCLUDE',
    placeholder: 'RE2',
    check: requirePatterns,
    sentence:
      'Mirror only tags that match any of these patterns; an annotation of the object wins.',
  }),
  exclude: list({
    flag: '--exclude',
    env: 'MIRROR_EXCLUDE',
    placeholder: 'RE2',
    check: requirePatterns,
    sentence: 'Mirror no tag that matches any of these patterns; an annotation of the object wins.',
  }),
  semver: text({
    flag: '--semver',
    env: 'MIRROR_SEMVER',
    placeholder: 'RANGE',
    check: requireRange,
    sentence: 'Mirror only tags that are versions in this range; an annotation of the object wins.',
  }),
  latest: integer({
    flag: '--latest',
    env: 'MIRROR_LATEST',
    default: 0,
    min: 0,
    max: 100_000,
    sentence: 'Mirror only the newest so many tags, 0 for all; an annotation of the object wins.',
  }),
  verifyTags: choice({
    flag: '--verify',
    env: 'VERIFY_TAGS',
    choices: VERIFY,
    default: 'mutable',
    sentence:
      'Existing tags whose digest is compared with the source: those matching MUTABLE_TAGS, all, or none.',
  }),
  mutableTags: text({
    flag: '--mutable-tags',
    env: 'MUTABLE_TAGS',
    placeholder: 'RE2',
    default: DEFAULT_MUTABLE_TAGS,
    check: requirePatterns,
    sentence: 'Pattern of the tags that are expected to move.',
  }),
  onDrift: choice({
    flag: '--on-drift',
    env: 'ON_DRIFT',
    choices: ['overwrite', 'report'],
    default: 'overwrite',
    sentence:
      'Whether a tag that points at another digest at the destination is moved or reported.',
  }),
  backupTag: text({
    flag: '--backup-tag',
    env: 'BACKUP_TAG',
    placeholder: 'TEMPLATE',
    default: '',
    check: (template) => {
      if (template !== '') parseBackupTag(template);
    },
    sentence:
      'Tag that what an overwritten tag pointed at gets first, such as backup-{tag}-{digest} (12 digits of its digest); tags of this form are never mirrored. Empty: none.',
  }),
  platforms: list({
    flag: '--platform',
    env: 'PLATFORMS',
    placeholder: 'OS/ARCH[/VARIANT][,…]',
    item: platformNames,
    sentence:
      'Of an index bring only what these platforms pull, such as linux/amd64; its digest stays. all: everything, also what an earlier list left out. Empty: everything; an annotation of the object wins.',
  }),
  referrers: flag({
    flag: '--referrers',
    env: 'REFERRERS',
    default: true,
    sentence: 'Mirror signatures, attestations and other referrers with their subject.',
  }),
  googleRegistryHosts: list({
    flag: '--google-registry-host',
    env: 'GOOGLE_REGISTRY_HOSTS',
    placeholder: 'HOST:PORT',
    item: loopbackHost,
    sentence: 'Loopback registries that are given Google credentials as *.pkg.dev is; for tests.',
  }),
  privateHosts: list({
    flag: '--private-host',
    env: 'PRIVATE_HOSTS',
    placeholder: 'HOST',
    item: canonicalHost,
    sentence: 'Hosts that may have private addresses; metadata and link-local ones never may.',
  }),
  insecureSources: list({
    flag: '--insecure-source',
    env: 'INSECURE_SOURCES',
    placeholder: 'PATTERN',
    item: parseImagePattern,
    sentence:
      'Sources that may be spoken to over plain http where their ImageRepository says so; of --image, are.',
  }),
  insecureDestination: flag({
    flag: '--insecure-destination',
    env: 'INSECURE_DESTINATION',
    default: false,
    sentence: 'Speak plain http to the destination; loopback is spoken to so anyway.',
  }),
  sourceCaFile: text({
    flag: '--source-ca-file',
    env: 'SOURCE_CA_FILE',
    placeholder: 'FILE',
    sentence:
      'Certificates (PEM) of authorities that sources are trusted by, beside the known ones.',
  }),
  dockerConfigFile: text({
    flag: '--docker-config',
    env: 'DOCKER_CONFIG_FILE',
    placeholder: 'FILE',
    sentence: 'Docker config with credentials of sources; credential helpers are refused.',
  }),
  allowedDestinations: list({
    flag: '--allowed-destination',
    env: 'ALLOWED_DESTINATIONS',
    placeholder: 'NAMESPACE=PATH',
    item: parseDestinationGrant,
    sentence:
      'Paths below the registry that objects of a namespace may choose by annotation, such as team-a=team-a/*. Empty: none.',
  }),
  resyncVerify: choice({
    env: 'RESYNC_VERIFY',
    choices: VERIFY,
    default: 'mutable',
    sentence: 'VERIFY_TAGS of the periodic resync.',
  }),
  maxMissingTags: integer({
    env: 'MAX_MISSING_TAGS',
    default: 1000,
    min: 0,
    max: 1_000_000,
    sentence:
      'Brake: of more missing tags than this only the newest so many are copied, the others are held. 0: no brake.',
  }),
  deadLetterTopic: text({
    env: 'DEAD_LETTER_TOPIC',
    placeholder: 'TOPIC',
    sentence:
      'Topic for events that can never succeed. Unset: they are refused until Pub/Sub gives up.',
    check: resourceName(TOPIC),
  }),
  acceptFluxEvents: flag({
    env: 'ACCEPT_FLUX_EVENTS',
    default: false,
    sentence: "Take events of Flux's notification controller (provider googlepubsub) too.",
  }),
  local: flag({
    env: 'LOCAL',
    default: false,
    sentence: 'Everything runs on one machine: loopback is a source and is spoken to over http.',
  }),
  logLevel: choice({
    flag: '--log-level',
    env: 'LOG_LEVEL',
    choices: LOG_LEVELS,
    default: 'info',
    sentence: 'Mildest severity that is logged.',
  }),
  otlpEndpoint: text({
    env: 'OTEL_EXPORTER_OTLP_ENDPOINT',
    placeholder: 'URL',
    sentence:
      'Metrics are sent there too (OTLP over HTTP), such as https://telemetry.googleapis.com. Unset: log lines alone.',
    check: webUrl,
  }),
  projectId: text({
    env: 'GOOGLE_CLOUD_PROJECT',
    placeholder: 'PROJECT',
    sentence: 'Project of topics named without one, and of the traces that log lines link to.',
  }),
} as const;

/** Options of the Cloud Run service. */
export const subscriberOptions = {
  ...mirrorOptions,
  batchTags: integer({
    env: 'BATCH_TAGS',
    default: 100,
    min: 1,
    max: 1000,
    sentence: 'Tags of one delivery; of more, batches are published to the bulk topic.',
  }),
  jobThresholdBytes: integer({
    env: 'JOB_THRESHOLD_BYTES',
    default: JOB_THRESHOLD_BYTES,
    min: -1,
    max: Number.MAX_SAFE_INTEGER,
    sentence: 'Missing bytes above which the Cloud Run job takes over. 0: always, -1: never.',
  }),
  job: text({
    env: 'JOB',
    placeholder: 'projects/P/locations/L/jobs/J',
    sentence: 'Cloud Run job that takes over what is too large for a delivery. Unset: none does.',
    check: resourceName(JOB),
  }),
  runApiEndpoint: text({
    env: 'RUN_API_ENDPOINT',
    placeholder: 'URL',
    default: 'https://run.googleapis.com',
    sentence: 'Where the Cloud Run Admin API is spoken to.',
    check: webUrl,
  }),
  deadlineSeconds: integer({
    env: 'DEADLINE_SECONDS',
    default: 540,
    min: 1,
    max: 3600,
    sentence:
      'Time of one delivery; the rest of the work is published again. 60 s below the acknowledgement deadline.',
  }),
  bulkTopic: text({
    env: 'BULK_TOPIC',
    placeholder: 'TOPIC',
    sentence: 'Topic for batches and continuations. Unset: unfinished work is redelivered instead.',
    check: resourceName(TOPIC),
  }),
  port: integer({
    env: 'PORT',
    default: 8080,
    min: 0,
    max: 65_535,
    sentence: 'Port to listen on; 0 takes a free one.',
  }),
} as const;

/** A host that is this machine: Google credentials go to no other host that an option names. */
function loopbackHost(value: string): string {
  const host = canonicalHost(value);
  if (/^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/.test(host)) return host;
  throw new Error(`takes loopback hosts only, not '${value}'`);
}

/** `localhost:4317` is a URL too, of the scheme `localhost`. */
function webUrl(value: string): void {
  if (!/^https?:\/\/[^/]/.test(value) || !URL.canParse(value)) {
    throw new Error(`wants a URL that begins with https:// or http://, not '${value}'`);
  }
}

/** A check that a value has the form of a resource's name. */
export function resourceName(form: RegExp): (value: string) => void {
  return (value) => {
    if (form.test(value)) return;
    throw new Error(
      `wants an id of 3 to 255 letters, digits and . _ ~ + % -, beginning with a letter, ` +
        `or its full name projects/PROJECT/…/ID, not '${value}'`,
    );
  };
}

/** One platform or several, separated by commas. */
function platformNames(value: string): readonly string[] {
  const names = value.split(',').map((name) => name.trim());
  for (const name of names) if (name !== ALL_PLATFORMS) parsePlatform(name);
  return names;
}
