/**
 * Which structured line a metric is made of: `tag` (one a mirrored tag, and the first 20
 * of every other kind, skipped ones not counted), `tag-kind` (one a kind that has more), `event` (one a
 * delivery), `requests` (one a host and class, at most every 10 s), `heartbeat` (one a sign of life).
 */
export type Entry = 'tag' | 'tag-kind' | 'event' | 'requests' | 'heartbeat';

/** A metric of the functions: a log-based one in Cloud Monitoring, and one of OTLP where opted in. */
export interface FunctionMetric {
  /** Below `logging.googleapis.com/user/` as a log-based metric. */
  readonly name: string;
  /** `counter`: how many lines; `distribution`: of the field's values, whose sum is the total. */
  readonly kind: 'counter' | 'distribution';
  /** UCUM: `1`, `By` bytes, `s` seconds. */
  readonly unit: '1' | 'By' | 's';
  readonly help: string;
  /** Lines with `jsonPayload.entry` of this value. */
  readonly entry: Entry;
  /** Field that a distribution extracts; lines without it do not count. */
  readonly field?: string;
  /** Field that must be present for a counter's line to count. */
  readonly present?: string;
  /** Label → field of the line. Values are bounded: outcomes, codes, reasons, hosts. */
  readonly labels: Readonly<Record<string, string>>;
}

/** Every metric that the functions' log lines carry; README and Terraform are checked against it. */
export const FUNCTION_METRICS: readonly FunctionMetric[] = [
  {
    name: 'imagerepo_mirror/tags',
    kind: 'counter',
    unit: '1',
    help: 'Tags by outcome, except skipped ones; of those not mirrored at most 20 of a kind an event, the others are in tags_untold.',
    entry: 'tag',
    labels: { outcome: 'outcome' },
  },
  {
    name: 'imagerepo_mirror/tag_failures',
    kind: 'counter',
    unit: '1',
    help: 'Tags that failed, were lost at the source, or that the destination refused to move, by fault code; at most 20 of a kind an event, the others are in tags_untold.',
    entry: 'tag',
    present: 'code',
    labels: { code: 'code', outcome: 'outcome' },
  },
  {
    name: 'imagerepo_mirror/tags_untold',
    kind: 'distribution',
    unit: '1',
    help: 'Tags beyond the first 20 of a kind of an event: what tags and tag_failures lack, by outcome and fault code.',
    entry: 'tag-kind',
    field: 'untold',
    labels: { code: 'code', outcome: 'outcome' },
  },
  {
    name: 'imagerepo_mirror/tags_skipped',
    kind: 'distribution',
    unit: '1',
    help: 'Tags of an event that were at the destination already.',
    entry: 'event',
    field: 'skipped',
    labels: {},
  },
  {
    name: 'imagerepo_mirror/tags_held',
    kind: 'distribution',
    unit: '1',
    help: 'Tags of an event that the brake held.',
    entry: 'event',
    field: 'held',
    labels: {},
  },
  {
    name: 'imagerepo_mirror/events',
    kind: 'counter',
    unit: '1',
    help: 'Deliveries by what became of them and why they were published.',
    entry: 'event',
    labels: { decision: 'decision', reason: 'reason' },
  },
  {
    name: 'imagerepo_mirror/event_failures',
    kind: 'counter',
    unit: '1',
    help: 'Deliveries that failed as a whole, by fault code.',
    entry: 'event',
    present: 'code',
    labels: { code: 'code', decision: 'decision' },
  },
  {
    name: 'imagerepo_mirror/sources_lost',
    kind: 'counter',
    unit: '1',
    help: 'Events whose whole source repository is not there although Flux found tags in it.',
    entry: 'event',
    present: 'announcedTags',
    labels: {},
  },
  {
    name: 'imagerepo_mirror/heartbeats',
    kind: 'counter',
    unit: '1',
    help: 'Signs of life that arrived, by cluster: each bridge gives one every 5 minutes.',
    entry: 'heartbeat',
    labels: { cluster: 'cluster' },
  },
  {
    name: 'imagerepo_mirror/repositories_watched',
    kind: 'distribution',
    unit: '1',
    help: 'ImageRepositories that the bridge of a cluster watches, by its signs of life.',
    entry: 'heartbeat',
    field: 'watched',
    labels: { cluster: 'cluster' },
  },
  {
    name: 'imagerepo_mirror/repositories_refused',
    kind: 'distribution',
    unit: '1',
    help: 'ImageRepositories that the bridge of a cluster does not publish until they are mended, by its signs of life.',
    entry: 'heartbeat',
    field: 'refused',
    labels: { cluster: 'cluster' },
  },
  {
    name: 'imagerepo_mirror/event_duration',
    kind: 'distribution',
    unit: 's',
    help: 'Time from the arrival of a delivery to its answer.',
    entry: 'event',
    field: 'durationSeconds',
    labels: { decision: 'decision' },
  },
  {
    name: 'imagerepo_mirror/lag',
    kind: 'distribution',
    unit: 's',
    help: "Time from Flux's scan until the last of its tags is mirrored; of changes, also where they were continued, batched or handed to the job.",
    entry: 'event',
    field: 'lagSeconds',
    labels: {},
  },
  {
    name: 'imagerepo_mirror/bytes_uploaded',
    kind: 'distribution',
    unit: 'By',
    help: 'Bytes sent to the destination by an event.',
    entry: 'event',
    field: 'bytesUploaded',
    labels: {},
  },
  {
    name: 'imagerepo_mirror/bytes_saved',
    kind: 'distribution',
    unit: 'By',
    help: 'Bytes of blobs that an event needed and that were there, mounted, or brought by another.',
    entry: 'event',
    field: 'bytesSaved',
    labels: {},
  },
  {
    name: 'imagerepo_mirror/blobs_uploaded',
    kind: 'distribution',
    unit: '1',
    help: 'Blobs sent to the destination by an event.',
    entry: 'event',
    field: 'blobsUploaded',
    labels: {},
  },
  {
    name: 'imagerepo_mirror/blobs_mounted',
    kind: 'distribution',
    unit: '1',
    help: 'Blobs that an event took over from another repository of the destination.',
    entry: 'event',
    field: 'blobsMounted',
    labels: {},
  },
  {
    name: 'imagerepo_mirror/blobs_present',
    kind: 'distribution',
    unit: '1',
    help: 'Blobs that an event needed and that were there.',
    entry: 'event',
    field: 'blobsPresent',
    labels: {},
  },
  {
    name: 'imagerepo_mirror/platforms_left_out',
    kind: 'distribution',
    unit: '1',
    help: 'Children of indexes that an event left out for their platforms.',
    entry: 'event',
    field: 'platformsLeftOut',
    labels: {},
  },
  {
    name: 'imagerepo_mirror/requests',
    kind: 'distribution',
    unit: '1',
    help: 'Requests to registries by host and class of status; none: no answer came.',
    entry: 'requests',
    field: 'count',
    labels: { host: 'host', class: 'class', side: 'side' },
  },
];
