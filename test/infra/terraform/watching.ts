import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import type { GoogleApis } from '../../stand-ins/google-apis/google-apis.ts';
import { fieldOf, matchesFilter } from './logging-filter.ts';
import { evaluatePromql, type Samples, type Series } from './promql.ts';

/** A log-based metric as Terraform made it. */
export interface LogMetric {
  readonly filter: string;
  readonly valueExtractor?: string;
  readonly labelExtractors?: Readonly<Record<string, string>>;
  /** Buckets of a distribution: `scale · growthFactor ^ n`. */
  readonly bucketOptions?: { readonly exponentialBuckets: Buckets };
}

interface Buckets {
  readonly scale: number;
  readonly growthFactor: number;
  readonly numFiniteBuckets: number;
}

/** An alert as Terraform made it. */
export interface Alert {
  readonly query: string;
  readonly duration: string;
  /** Filter that its link to the log lines opens. */
  readonly logs: string;
}

/** What Cloud Monitoring is told of an installation. */
export interface Watching {
  /** By the name in the catalogue, without the installation's prefix. */
  readonly metrics: Readonly<Record<string, LogMetric>>;
  /** By title. */
  readonly alerts: Readonly<Record<string, Alert>>;
}

/** Where {@link Watching} of the example `minimal` is kept, for machines without the google provider. */
export const GOLDEN = fileURLToPath(new URL('watching.golden.json', import.meta.url));

/** What is kept; a run of apply.test.ts compares it with what Terraform makes. */
export function keptWatching(): Watching {
  return JSON.parse(readFileSync(GOLDEN, 'utf8')) as Watching;
}

/** Reads it from the stand-in that an installation was applied to. */
export function watchingOf({ cloud }: GoogleApis): Watching {
  const under = (prefix: string) =>
    [...cloud.resources]
      .filter(([name]) => name.startsWith(prefix))
      .map(([, resource]) => resource as unknown as Stored);
  return {
    metrics: Object.fromEntries(
      under('logging/projects/my-project/metrics/')
        .map(
          ({ name, filter, valueExtractor, labelExtractors, bucketOptions }) =>
            [
              name.replace(/^.*\//, ''),
              { filter, valueExtractor, labelExtractors, bucketOptions } as unknown as LogMetric,
            ] as const,
        )
        .sort(),
    ),
    alerts: Object.fromEntries(
      under('monitoring/projects/my-project/alertPolicies/')
        .map(({ displayName, conditions, documentation }) => {
          const [condition] = conditions;
          const { query, duration } = condition.conditionPrometheusQueryLanguage;
          const url = documentation.links[0].url;
          const logs = decodeURIComponent(/;query=([^?]*)/.exec(url)?.[1] ?? '');
          return [
            displayName.replace(/^imagerepo-mirror: /, ''),
            { query, duration, logs },
          ] as const;
        })
        .sort(),
    ),
  };
}

interface Stored extends LogMetric {
  readonly name: string;
  readonly displayName: string;
  readonly documentation: { readonly links: readonly [{ readonly url: string }] };
  readonly conditions: readonly [
    {
      readonly conditionPrometheusQueryLanguage: {
        readonly query: string;
        readonly duration: string;
      };
    },
  ];
}

/** A line of the log with the resource that wrote it. */
export interface LogEntry {
  readonly resource: { readonly type: string; readonly labels: Readonly<Record<string, string>> };
  readonly severity?: unknown;
  readonly jsonPayload: Readonly<Record<string, unknown>>;
}

/** Entry of a line of the service. */
export function entryOfService(line: Readonly<Record<string, unknown>>): LogEntry {
  return {
    resource: {
      type: 'cloud_run_revision',
      labels: { project_id: 'my-project', service_name: 'imagerepo-mirror-events' },
    },
    severity: line['severity'],
    jsonPayload: line,
  };
}

/** Entry of a line of the job. */
export function entryOfJob(line: Readonly<Record<string, unknown>>): LogEntry {
  return {
    resource: {
      type: 'cloud_run_job',
      labels: { project_id: 'my-project', job_name: 'imagerepo-mirror-job' },
    },
    severity: line['severity'],
    jsonPayload: line,
  };
}

/** Upper bounds of a distribution's buckets. */
function boundsOf({ bucketOptions }: LogMetric): readonly number[] {
  if (bucketOptions === undefined) throw new Error('a distribution has buckets');
  const { scale, growthFactor, numFiniteBuckets } = bucketOptions.exponentialBuckets;
  return Array.from({ length: numFiniteBuckets + 1 }, (_, index) => scale * growthFactor ** index);
}

/** What Cloud Monitoring makes of log entries: one sample a line and metric, as PromQL names them. */
export function samplesOf({ metrics }: Watching, entries: readonly LogEntry[]): Samples {
  const samples = new Map<string, Series[]>();
  const add = (name: string, labels: Series['labels'], value: number): void => {
    samples.set(name, [...(samples.get(name) ?? []), { labels, value }]);
  };
  for (const [short, metric] of Object.entries(metrics)) {
    const name = `logging_googleapis_com:user_imagerepo_mirror_${short}`;
    for (const entry of entries) {
      if (!matchesFilter(metric.filter, entry)) continue;
      const labels = {
        monitored_resource: entry.resource.type,
        ...entry.resource.labels,
        ...Object.fromEntries(
          Object.entries(metric.labelExtractors ?? {}).map(([label, extractor]) => [
            label,
            extracted(entry, extractor),
          ]),
        ),
      };
      if (metric.valueExtractor === undefined) add(name, labels, 1);
      else {
        const value = Number(extracted(entry, metric.valueExtractor));
        add(`${name}_sum`, labels, value);
        add(`${name}_count`, labels, 1);
        for (const bound of [...boundsOf(metric), Infinity]) {
          add(`${name}_bucket`, { ...labels, le: String(bound) }, value <= bound ? 1 : 0);
        }
      }
    }
  }
  return samples;
}

function extracted(entry: LogEntry, extractor: string): string {
  const path = /^EXTRACT\((.+)\)$/.exec(extractor)?.[1] ?? '';
  const value = fieldOf(entry, path.split('.'));
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
}

/** Titles of the alerts whose condition holds. */
export function firing({ alerts }: Watching, samples: Samples): readonly string[] {
  return Object.entries(alerts)
    .filter(([, { query }]) => evaluatePromql(query, samples).length > 0)
    .map(([title]) => title)
    .sort();
}
