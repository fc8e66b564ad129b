import { VERIFY } from './contract/event.ts';
import { parseRepublishFilter } from './job/republish.ts';
import { requireTag } from './oci/reference.ts';
import { mirrorOptions, resourceName, TOPIC } from './option-tables.ts';
import { choice, duration, flag, integer, list, text } from './options/option.ts';

/** A subscription's id, or its full name. */
const SUBSCRIPTION = /^(projects\/[^/\s]+\/subscriptions\/)?[a-zA-Z][\w.~+%-]{2,254}$/;

/** Options of the job and the command line. */
export const jobOptions = {
  images: list({
    flag: '--image',
    placeholder: 'NAME',
    sentence: 'Image to mirror, such as ghcr.io/org/app; several are mirrored side by side.',
  }),
  tags: list({
    flag: '--tag',
    placeholder: 'TAG',
    item: requireTag,
    sentence: 'Mirror exactly these tags of every --image instead of those selected.',
  }),
  event: text({
    env: 'EVENT',
    placeholder: 'JSON',
    sentence:
      'Instead of --image: one event, as a CloudEvent in structured mode; how the service hands off.',
  }),
  drain: text({
    flag: '--drain',
    placeholder: 'SUBSCRIPTION',
    sentence:
      'Instead of --image: execute the events of this pull subscription until nothing comes any more.',
    check: resourceName(SUBSCRIPTION),
  }),
  republish: text({
    flag: '--republish',
    placeholder: 'TOPIC',
    sentence: 'With --drain: publish the messages to this topic instead of executing them.',
    check: resourceName(TOPIC),
  }),
  filter: list({
    flag: '--filter',
    placeholder: 'code=CODE',
    item: parseRepublishFilter,
    sentence: 'With --republish: only messages that were put aside for this fault.',
  }),
  drainIdleMs: duration({
    flag: '--drain-idle',
    default: '60s',
    min: '1s',
    sentence:
      'With --drain: end when nothing was received for so long and nothing is under way. Below 1m what a dead connection or a killed reader held, or what waits for a back-off, may come after the end.',
  }),
  timeoutMs: duration({
    flag: '--timeout',
    default: undefined,
    max: '168h',
    sentence:
      'End after so long, with RATE_LIMITED where a registry asks to wait, and exit 1. 0: never. Unset: never, but for waits of 10m with --image at a terminal.',
  }),
  taskTimeoutSeconds: integer({
    env: 'TASK_TIMEOUT_SECONDS',
    default: 0,
    min: 0,
    max: 604_800,
    sentence: 'Timeout of the Cloud Run task, so that the job ends in order before it. 0: none.',
  }),
  taskMaxRetries: integer({
    env: 'TASK_MAX_RETRIES',
    default: 3,
    min: 0,
    max: 10,
    sentence:
      'Retries of the Cloud Run task; the last attempt publishes what remains to DEAD_LETTER_TOPIC.',
  }),
  workers: integer({
    flag: '--workers',
    env: 'WORKERS',
    default: 4,
    min: 1,
    max: 64,
    sentence: 'ImageRepositories mirrored at once.',
  }),
  dryRun: flag({
    flag: '--dry-run',
    default: false,
    sentence: 'Say what would be done and change nothing.',
  }),
  output: choice({
    flag: '--output',
    short: '-o',
    choices: ['text', 'json'],
    default: 'text',
    sentence: 'Form of the report; json is one document (functions/report/report.schema.json).',
  }),
  ...mirrorOptions,
  verifyTags: choice({
    flag: '--verify',
    env: 'VERIFY_TAGS',
    choices: VERIFY,
    default: undefined,
    sentence:
      'Existing tags whose digest is compared with the source. Unset: all with --image, mutable with an event.',
  }),
} as const;
