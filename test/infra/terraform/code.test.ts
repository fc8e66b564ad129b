import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { ERRORS } from '../../../functions/errors.ts';
import { jobOptions } from '../../../functions/job-options.ts';
import { subscriberOptions } from '../../../functions/option-tables.ts';
import type { Option } from '../../../functions/options/option.ts';
import { FUNCTION_METRICS } from '../../../functions/telemetry/metrics-catalogue.ts';
import { namesIn, requireKnown } from '../names.ts';
import { MODULE, readConfiguration } from './configuration.ts';

const { locals, variables, texts } = await readConfiguration(MODULE);

/** Variables that no option table has: read by the library that they are of. */
const OF_LIBRARIES = ['OTEL_EXPORTER_OTLP_ENDPOINT', 'OTEL_RESOURCE_ATTRIBUTES'];

/** Options of the service or the job that make no sense on Cloud Run, each with its reason. */
const NOT_ON_CLOUD_RUN: Readonly<Record<string, string>> = {
  EVENT: 'an execution is given it',
  GOOGLE_REGISTRY_HOSTS: 'loopback only, for tests',
  INSECURE_DESTINATION: 'Artifact Registry is spoken to over https',
  LOCAL: 'one machine',
  PORT: 'Cloud Run sets it',
  RUN_API_ENDPOINT: 'a stand-in, for tests',
};

function environment(table: Readonly<Record<string, Option<unknown>>>): readonly string[] {
  return Object.values(table).flatMap(({ env }) => env ?? []);
}

function keys(name: string): readonly string[] {
  return Object.keys(locals[name] as Record<string, unknown>);
}

function defaultOf(variable: string): unknown {
  return variables.find(({ name }) => name === variable)?.body['default'];
}

describe('environment variables that Terraform sets', () => {
  const service = [...keys('mirror_env'), ...keys('service_env')];
  const job = [...keys('mirror_env'), ...keys('job_env')];

  it('of the service are options of the service', () => {
    requireKnown(service, [...environment(subscriberOptions), ...OF_LIBRARIES]);
  });

  it('of the job are options of the job', () => {
    requireKnown(job, [...environment(jobOptions), ...OF_LIBRARIES]);
  });

  it('reach every option that has a meaning on Cloud Run', () => {
    const unset = [
      ...environment(subscriberOptions).filter((name) => !service.includes(name)),
      ...environment(jobOptions).filter((name) => !job.includes(name)),
    ];
    assert.deepEqual([...new Set(unset)].sort(), Object.keys(NOT_ON_CLOUD_RUN).sort());
  });

  it("let every lane and the job take Flux's events: dead letters of theirs are republished to bulk", () => {
    const { ACCEPT_FLUX_EVENTS } = locals['mirror_env'] as Record<string, string>;
    assert.equal(ACCEPT_FLUX_EVENTS, '${var.accept_flux_events ? "true" : null}');
  });

  it("tell the job its own task's limits", () => {
    const { TASK_TIMEOUT_SECONDS, TASK_MAX_RETRIES } = locals['job_env'] as Record<string, string>;
    assert.equal(TASK_TIMEOUT_SECONDS, '${tostring(local.job_timeout_seconds)}');
    assert.equal(TASK_MAX_RETRIES, '${tostring(local.job_max_retries)}');
    assert.match(texts['mirror.tf'] ?? '', /timeout\s+= "\$\{local\.job_timeout_seconds\}s"/);
    assert.match(texts['mirror.tf'] ?? '', /max_retries\s+= local\.job_max_retries/);
  });
});

describe('defaults', () => {
  it('of the workers are those of the code', () => {
    assert.equal(String(defaultOf('workers')), jobOptions.workers.default);
    assert.equal(String(defaultOf('tag_workers')), subscriberOptions.tagWorkers.default);
  });

  it('of the deadline is that of the code', () => {
    assert.equal(String(locals['deadline_seconds']), subscriberOptions.deadlineSeconds.default);
  });
});

interface LogMetric {
  readonly description: string;
  readonly entry: string;
  readonly unit: string;
  readonly field?: string;
  readonly present?: string;
  readonly labels: readonly string[];
}

const logMetrics = locals['log_metrics'] as Readonly<Record<string, LogMetric>>;

describe('log-based metrics', () => {
  it("are those of the functions' catalogue: names, units, fields and labels", () => {
    assert.deepEqual(
      Object.fromEntries(
        Object.entries(logMetrics).map(([name, metric]) => [
          `imagerepo_mirror/${name}`,
          { ...metric, labels: Object.fromEntries(metric.labels.map((label) => [label, label])) },
        ]),
      ),
      Object.fromEntries(
        FUNCTION_METRICS.map(({ name, help, entry, unit, field, present, labels }) => [
          name,
          {
            description: help,
            entry,
            unit,
            ...(field === undefined ? {} : { field }),
            ...(present === undefined ? {} : { present }),
            labels,
          },
        ]),
      ),
    );
  });

  it('are distributions exactly where the catalogue says so', () => {
    for (const { name, kind } of FUNCTION_METRICS) {
      const metric = logMetrics[name.replace('imagerepo_mirror/', '')];
      assert.equal(metric?.field !== undefined, kind === 'distribution', name);
    }
  });

  it('are what alerts and dashboard look at', () => {
    const text = `${texts['alerts.tf'] ?? ''}${texts['dashboard.tf'] ?? ''}`;
    const looked = [
      ...namesIn(text, /\$\{local\.metric_type\}\/(\w+)/g),
      ...namesIn(text, /\$\{local\.promql_metric\}_(\w+?)(?:_sum|_bucket|_count)?\{/g),
      ...namesIn(text, /\bmetric\s*= "(\w+?)(?:_sum)?"/g),
      ...namesIn(text, /for metric in \[([^\]]+)\]/g).flatMap((list) => namesIn(list, /"(\w+)"/g)),
    ];
    assert.ok(looked.length > 10);
    requireKnown(looked, Object.keys(logMetrics));
  });
});

describe('alerts', () => {
  // One for each bridge comes to these.
  const alerts = locals['alert_texts'] as Readonly<
    Record<string, { readonly title: string; readonly severity: string; readonly text: string }>
  >;

  it('are all that an operator is promised', () => {
    assert.deepEqual(Object.keys(alerts).sort(), [
      'dead-letters',
      'drift',
      'failed-events',
      'failed-jobs',
      'held-tags',
      'lag',
      'lasting-failures',
      'lost-sources',
      'permanent-failures',
      'refused-pushes',
      'waiting',
    ]);
  });

  it('have a section of the runbook each', () => {
    const sections = Object.keys(locals['runbook_sections'] as object);
    assert.deepEqual(sections.sort(), [...Object.keys(alerts), 'silent-bridge'].sort());
  });

  it('name every permanent code, and none that heals by itself', () => {
    const permanent = Object.entries(ERRORS)
      .filter(([, { disposition }]) => disposition === 'permanent')
      .map(([code]) => code);
    assert.deepEqual([...(locals['permanent_codes'] as readonly string[])], permanent.sort());
  });

  for (const [name, { text }] of Object.entries(alerts)) {
    it(`${name} names only codes that exist`, () => {
      const codes = namesIn(text, /`([A-Z]+(?:_[A-Z]+)+)`/g);
      requireKnown(codes, [...Object.keys(ERRORS), ...environment(subscriberOptions)]);
    });
  }
});
