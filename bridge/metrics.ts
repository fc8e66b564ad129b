import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

/** One metric of the catalogue. */
export interface MetricEntry {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly labels: readonly string[];
}

const PREFIX = 'imagerepo_mirror_bridge';

/** The bridge's own metrics; `process_…` and `nodejs_…` of the Prometheus client stand beside them. */
export const BRIDGE_METRICS = {
  published: counter('events_published_total', 'Events that Pub/Sub accepted, by reason.', [
    'reason',
  ]),
  publishFailures: counter(
    'publish_failures_total',
    'Events that Pub/Sub did not accept, by lane and fault code; they are tried again.',
    ['lane', 'code'],
  ),
  publishSeconds: histogram(
    'publish_duration_seconds',
    'Time until Pub/Sub accepted an event, by lane.',
    ['lane'],
  ),
  detectionSeconds: histogram(
    'detection_to_publish_seconds',
    'Time from the decision to publish a change until Pub/Sub accepted it.',
    [],
  ),
  queueDepth: gauge(
    'queue_depth',
    'Events that wait to be published, by urgency; on a standby, what it would publish.',
    ['urgency'],
  ),
  oldestUnpublished: gauge(
    'oldest_unpublished_event_age_seconds',
    'Age of the oldest event that waits to be published; 0 where none does, and on a standby.',
    [],
  ),
  watchedObjects: gauge('watched_objects', 'ImageRepositories that are watched.', []),
  refusedObjects: gauge(
    'refused_objects',
    'ImageRepositories that are not published until they are mended, by reason.',
    ['reason'],
  ),
  decisions: counter('decisions_total', 'Decisions about watched objects, by cause.', ['cause']),
  watchRestarts: counter('watch_restarts_total', 'Watches that were opened again, by cause.', [
    'cause',
  ]),
  watchSynced: gauge('watch_synced', '1 while the watch is open and complete, else 0.', []),
  /** The name that controller-runtime gives it. */
  leader: {
    name: 'leader_election_master_status',
    type: 'gauge',
    help: '1 while this replica publishes, else 0; by the name of the Lease.',
    labels: ['name'],
  },
} as const satisfies Record<string, MetricEntry>;

/** Publishing takes milliseconds; a refused one is a matter of minutes. */
const BUCKETS_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

/** The bridge's metrics, and their text for Prometheus. */
export interface Metrics {
  readonly published: Counter<'reason'>;
  readonly publishFailures: Counter<'lane' | 'code'>;
  readonly publishSeconds: Histogram<'lane'>;
  readonly detectionSeconds: Histogram;
  readonly decisions: Counter<'cause'>;
  readonly watchRestarts: Counter<'cause'>;
  readonly watchSynced: Gauge;
  readonly leader: Gauge<'name'>;
  /** Content type of the text. */
  readonly contentType: string;
  text(): Promise<string>;
}

/** Figures that are read when they are asked for. */
export interface MetricReadings {
  queueDepth(): Readonly<Record<string, number>>;
  oldestUnpublishedSeconds(): number;
  watchedObjects(): number;
  refusedObjects(): Readonly<Record<string, number>>;
}

/** A registry of its own, so that two bridges can run in one process. */
export function createMetrics(readings: MetricReadings): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  new Gauge({
    ...words(BRIDGE_METRICS.queueDepth),
    registers,
    collect() {
      for (const [urgency, depth] of Object.entries(readings.queueDepth())) {
        this.set({ urgency }, depth);
      }
    },
  });
  new Gauge({
    ...words(BRIDGE_METRICS.oldestUnpublished),
    registers,
    collect() {
      this.set(readings.oldestUnpublishedSeconds());
    },
  });
  new Gauge({
    ...words(BRIDGE_METRICS.watchedObjects),
    registers,
    collect() {
      this.set(readings.watchedObjects());
    },
  });
  new Gauge({
    ...words(BRIDGE_METRICS.refusedObjects),
    registers,
    collect() {
      for (const [reason, count] of Object.entries(readings.refusedObjects())) {
        this.set({ reason }, count);
      }
    },
  });
  return {
    published: new Counter({ ...words(BRIDGE_METRICS.published), registers }),
    publishFailures: new Counter({ ...words(BRIDGE_METRICS.publishFailures), registers }),
    publishSeconds: new Histogram({
      ...words(BRIDGE_METRICS.publishSeconds),
      buckets: BUCKETS_SECONDS,
      registers,
    }),
    detectionSeconds: new Histogram({
      ...words(BRIDGE_METRICS.detectionSeconds),
      buckets: BUCKETS_SECONDS,
      registers,
    }),
    decisions: new Counter({ ...words(BRIDGE_METRICS.decisions), registers }),
    watchRestarts: new Counter({ ...words(BRIDGE_METRICS.watchRestarts), registers }),
    watchSynced: new Gauge({ ...words(BRIDGE_METRICS.watchSynced), registers }),
    leader: new Gauge({ ...words(BRIDGE_METRICS.leader), registers }),
    contentType: registry.contentType,
    text: () => registry.metrics(),
  };
}

function words<L extends string>(entry: {
  readonly name: string;
  readonly help: string;
  readonly labels: readonly L[];
}): { name: string; help: string; labelNames: readonly L[] } {
  return { name: entry.name, help: entry.help, labelNames: entry.labels };
}

type Entry<L extends string> = MetricEntry & { readonly labels: readonly L[] };

function counter<L extends string>(name: string, help: string, labels: readonly L[]): Entry<L> {
  return { name: `${PREFIX}_${name}`, type: 'counter', help, labels };
}

function gauge<L extends string>(name: string, help: string, labels: readonly L[]): Entry<L> {
  return { name: `${PREFIX}_${name}`, type: 'gauge', help, labels };
}

function histogram<L extends string>(name: string, help: string, labels: readonly L[]): Entry<L> {
  return { name: `${PREFIX}_${name}`, type: 'histogram', help, labels };
}
