import { randomUUID } from 'node:crypto';

import type { Counter, Histogram } from '@opentelemetry/api';

import type { LogFields, Logger } from './logger.ts';
import { FUNCTION_METRICS, type FunctionMetric } from './metrics-catalogue.ts';

/** Metrics on their way to an OTLP endpoint. */
export interface OtlpMetrics {
  /** Counts a line by the catalogue. */
  record(fields: LogFields): void;
  /**
   * Sends what was counted, unless it was sent within the last 10 s. Resolves within 3 s, whatever
   * the endpoint does; a failure is a log line.
   */
  flush(): Promise<void>;
  /** Sends what was counted, whenever it was sent last, and ends. Resolves within 3 s. */
  close(): Promise<void>;
}

/** Where metrics go, and whose they are. */
export interface OtlpOptions {
  /** `OTEL_EXPORTER_OTLP_ENDPOINT`; `/v1/metrics` is added (OTLP exporter specification). */
  readonly endpoint: string;
  /** Token for Google's endpoint; asked per export, and for no other host. */
  readonly accessToken: () => Promise<string>;
  readonly projectId: string | undefined;
  readonly serviceName: string;
  readonly logger: Logger;
  readonly clock: () => number;
}

/** Cloud Monitoring refuses points of one series that come more often than every 5 s; twice that. */
const FLUSH_INTERVAL_MS = 10_000;
/** Longest that an event waits for its metrics. */
const FLUSH_TIMEOUT_MS = 3000;
/** Ends an export before the wait for it does, so that no request is left behind. */
const EXPORT_TIMEOUT_MS = 2500;
/** The reader's own interval is not used: a service has no processor time outside of requests. */
const NEVER_MS = 2 ** 31 - 1;

/** Boundaries of distributions, by unit. */
const BOUNDARIES = {
  s: [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600],
  By: [1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11],
  '1': [0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10_000],
} as const;

const none = (): void => undefined;
const SILENT = { error: none, warn: none, info: none, debug: none, verbose: none };

/** What records and sends, once the libraries are loaded. */
export interface OtlpInstruments {
  readonly record: (fields: LogFields) => void;
  readonly forceFlush: () => Promise<void>;
  readonly shutdown: () => Promise<void>;
}

/** Lines that wait for the libraries: those of 100 batches; some MiB. */
const MAX_WAITING = 10_000;

/**
 * Opens the way to an endpoint. The libraries are loaded beside the first event's work; lines that
 * come before they are there wait, at most {@link MAX_WAITING}, and how many were lost is told.
 * @param opening what records and sends. Default: OpenTelemetry's libraries
 */
export function otlpMetrics(
  options: OtlpOptions,
  opening: Promise<OtlpInstruments> = open(options),
): OtlpMetrics {
  let opened: OtlpInstruments | undefined;
  let waiting: LogFields[] = [];
  let lost = 0;
  let flushedAtMs = Number.NEGATIVE_INFINITY;
  opening.then(
    (instruments) => {
      for (const fields of waiting) instruments.record(fields);
      waiting = [];
      opened = instruments;
    },
    // Told where it is awaited.
    () => undefined,
  );

  function record(fields: LogFields): void {
    if (opened !== undefined) opened.record(fields);
    else if (waiting.length < MAX_WAITING) waiting.push(fields);
    else lost += 1;
  }

  async function send(last: boolean): Promise<void> {
    flushedAtMs = options.clock();
    const { shutdown, forceFlush } = await opening;
    await (last ? shutdown() : forceFlush());
  }

  async function sendInTime(last: boolean): Promise<void> {
    if (lost > 0) options.logger.warning(`${lost} lines are missing in the exported metrics`);
    lost = 0;
    try {
      await withinMs(FLUSH_TIMEOUT_MS, send(last));
    } catch (error) {
      options.logger.warning('metrics could not be exported', { error });
    }
  }

  return {
    record,
    flush: async () => {
      if (options.clock() - flushedAtMs >= FLUSH_INTERVAL_MS) await sendInTime(false);
    },
    close: async () => sendInTime(true),
  };
}

async function open(options: OtlpOptions): Promise<OtlpInstruments> {
  const library = await import('./otlp-library.ts');
  const exporter = new library.OTLPMetricExporter({
    url: `${options.endpoint.replace(/\/$/, '')}/v1/metrics`,
    headers: async () => exportHeaders(options),
    timeoutMillis: EXPORT_TIMEOUT_MS,
  });
  // The reader tells nobody what became of an export.
  let exported: Promise<unknown> = Promise.resolve();
  const send = exporter.export.bind(exporter);
  exporter.export = (metrics, told) => {
    exported = new Promise((resolve, reject) => {
      send(metrics, (result) => {
        if (result.error === undefined) resolve(result.code);
        else reject(result.error);
        told(result);
      });
    });
    exported.catch(() => undefined);
  };
  // Of points that the endpoint took and refused the exporter only warns.
  library.diag.setLogger(
    {
      ...SILENT,
      warn: (...words) => {
        options.logger.warning(words.join(' '));
      },
    },
    { logLevel: library.DiagLogLevel.WARN, suppressOverrideMessage: true },
  );
  const provider = new library.MeterProvider({
    resource: library
      .defaultResource()
      .merge(library.detectResources({ detectors: [library.resourceAttributesEnvDetector] }))
      .merge(library.resourceFromAttributes(resourceAttributes(options))),
    readers: [
      new library.PeriodicExportingMetricReader({
        exporter,
        exportIntervalMillis: NEVER_MS,
        exportTimeoutMillis: EXPORT_TIMEOUT_MS,
      }),
    ],
  });
  const meter = provider.getMeter('imagerepo-mirror');
  const instruments = FUNCTION_METRICS.map((metric) => {
    const { name, help: description, unit, kind } = metric;
    return {
      metric,
      instrument:
        kind === 'counter'
          ? meter.createCounter(name, { description, unit })
          : meter.createHistogram(name, {
              description,
              unit,
              advice: { explicitBucketBoundaries: [...BOUNDARIES[unit]] },
            }),
    };
  });
  return {
    record: (fields) => {
      for (const { metric, instrument } of instruments) count(metric, instrument, fields);
    },
    forceFlush: async () => {
      await provider.forceFlush();
      await exported;
    },
    shutdown: async () => {
      await provider.shutdown();
      await exported;
    },
  };
}

/** The part of a line that one metric counts. */
function count(metric: FunctionMetric, instrument: Counter | Histogram, fields: LogFields): void {
  if (fields['entry'] !== metric.entry || fields['outcome'] === 'skipped') return;
  if (metric.present !== undefined && fields[metric.present] === undefined) return;
  const attributes = Object.fromEntries(
    Object.entries(metric.labels).map(([label, field]) => [label, textOf(fields[field])]),
  );
  if (metric.field === undefined) {
    if ('add' in instrument) instrument.add(1, attributes);
    return;
  }
  const value = fields[metric.field];
  if (typeof value === 'number' && 'record' in instrument) instrument.record(value, attributes);
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/**
 * What Cloud Monitoring tells series apart by: two instances without an id of their own collide.
 * The region comes by `OTEL_RESOURCE_ATTRIBUTES=cloud.region=…`.
 */
function resourceAttributes({ projectId, serviceName }: OtlpOptions): Record<string, string> {
  return {
    'service.name': serviceName,
    'service.instance.id': randomUUID(),
    ...(projectId === undefined ? {} : { 'gcp.project_id': projectId }),
  };
}

/**
 * Headers of an export: Google's token, for Google's hosts over https only. Never throws: the
 * exporter does not expect it, and an export without a token is refused and told.
 */
export async function exportHeaders({
  endpoint,
  accessToken,
}: Pick<OtlpOptions, 'endpoint' | 'accessToken'>): Promise<Record<string, string>> {
  const { hostname, protocol } = new URL(endpoint);
  if (protocol !== 'https:' || !hostname.endsWith('.googleapis.com')) return {};
  try {
    return { authorization: `Bearer ${await accessToken()}` };
  } catch {
    return {};
  }
}

async function withinMs(limitMs: number, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`not done within ${limitMs} ms`));
    }, limitMs);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
