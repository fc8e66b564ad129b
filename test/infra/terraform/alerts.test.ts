import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { ERRORS } from '../../../functions/errors.ts';
import { withDeployment, type Deployment } from '../../flow/subscriber-rig.ts';
import { matchesFilter } from './logging-filter.ts';
import { evaluatePromql, type Samples, type Series } from './promql.ts';
import { alive, HEALTHY, pushed, SITUATIONS, type Situation } from './situations.ts';
import {
  entryOfJob,
  entryOfService,
  firing,
  keptWatching,
  samplesOf,
  type LogEntry,
} from './watching.ts';

const watching = keptWatching();
const TIMEOUT = { timeout: 120_000 };

/** What the service wrote while a situation was brought about, and what Pub/Sub counted. */
interface Seen {
  readonly lines: Deployment['lines'];
  readonly jobLines: Deployment['lines'];
  readonly figures: NonNullable<Situation['figures']>;
}

async function seenOf({
  deployment = {},
  happens,
  job,
  silent,
  figures = {},
}: Omit<Situation, 'alert' | 'sees' | 'situation'>): Promise<Seen> {
  let lines: Deployment['lines'] = [];
  let jobLines: Deployment['lines'] = [];
  let counted: Seen['figures'] = {};
  await withDeployment(deployment, async (running) => {
    if (silent !== true) await alive(running);
    await happens?.(running);
    jobLines = (await job?.(running)) ?? [];
    lines = [...running.lines];
    counted = countedBy(running);
  });
  return { lines, jobLines, figures: { ...counted, ...figures } };
}

/** Pub/Sub's own metrics of the subscriptions, as the stand-in has counted. */
function countedBy({ pubsub }: Deployment): Seen['figures'] {
  const subscriptions = pubsub.view.subscriptions().map((view) => ({
    ...view,
    labels: {
      project_id: 'my-project',
      monitored_resource: 'pubsub_subscription',
      subscription_id: `imagerepo-mirror-${view.name.split('/').at(-1) ?? ''}`,
    },
  }));
  return {
    'pubsub_googleapis_com:subscription_num_undelivered_messages': subscriptions.map(
      ({ labels, undelivered, outstanding }) => ({ labels, value: undelivered + outstanding }),
    ),
    'pubsub_googleapis_com:subscription_push_request_count': subscriptions
      .filter(({ pushEndpoint }) => pushEndpoint !== undefined)
      .flatMap(({ labels, acknowledged, nacked }) => [
        {
          labels: { ...labels, response_class: 'ack', response_code: 'success' },
          value: acknowledged,
        },
        {
          labels: { ...labels, response_class: 'remote_server_5xx', response_code: 'internal' },
          value: nacked,
        },
      ]),
  };
}

function withFigures(samples: Samples, figures: Situation['figures'] = {}): Samples {
  return new Map([...samples, ...Object.entries(figures)]);
}

/** The alert without the time that its condition must hold: that is its duration's part. */
function firingOn(entries: readonly LogEntry[], figures?: Situation['figures']): readonly string[] {
  return firing(watching, withFigures(samplesOf(watching, entries), figures));
}

/** Whether lines of one moment can fire an alert: they are seen for the length of its query's window. */
function mayBeMomentary(title: string): boolean {
  const { query = '', duration = '' } = watching.alerts[title] ?? {};
  const windowMinutes = Number(/\[(\d+)m\]/.exec(query)?.[1]);
  return !(Number.parseInt(duration, 10) / 60 > windowMinutes);
}

describe('alerts', () => {
  it('have a situation each', () => {
    assert.deepEqual(
      SITUATIONS.map(({ alert }) => alert).sort(),
      Object.keys(watching.alerts).sort(),
    );
  });

  it('are kept as Terraform makes them of the codes of today', () => {
    const { query = '' } = watching.alerts['tags failed for good'] ?? {};
    const permanent = Object.entries(ERRORS)
      .filter(([, { disposition }]) => disposition === 'permanent')
      .map(([code]) => code);
    assert.deepEqual(
      /code=~"([^"]+)"/.exec(query)?.[1]?.split('|'),
      permanent.sort(),
      'UPDATE_GOLDEN=true APPLY_TERRAFORM=true npm test -- test/infra/terraform/apply.test.ts',
    );
  });

  for (const situation of SITUATIONS) {
    it(
      `"${situation.alert}" fires where ${situation.situation}, and no other does`,
      TIMEOUT,
      async () => {
        const { lines, figures } = await seenOf(situation);
        assert.deepEqual(firingOn(lines.map(entryOfService), figures), [situation.alert]);
      },
    );
  }

  for (const healthy of HEALTHY) {
    it(`do not fire where ${healthy.situation}`, TIMEOUT, async () => {
      const { lines, jobLines, figures } = await seenOf(healthy);
      const entries = [...lines.map(entryOfService), ...jobLines.map(entryOfJob)];
      const titles = firingOn(entries, figures);
      assert.deepEqual(healthy.isMomentary === true ? titles.filter(mayBeMomentary) : titles, []);
    });
  }

  it('count lines of the job as those of the services, and nobody else’s', TIMEOUT, async () => {
    const situation = SITUATIONS.find(({ alert }) => alert === 'tags failed for good');
    assert.ok(situation);
    const { lines } = await seenOf(situation);
    const heartbeats = lines.filter((line) => line['entry'] === 'heartbeat').map(entryOfService);
    const entries = lines.filter((line) => line['entry'] !== 'heartbeat').map(entryOfJob);
    assert.deepEqual(firingOn([...heartbeats, ...entries]), [situation.alert]);
    const others = entries.map((entry) => ({
      ...entry,
      resource: { ...entry.resource, labels: { job_name: 'another-job' } },
    }));
    assert.deepEqual(firingOn([...heartbeats, ...others]), []);
  });

  it('see their own project alone, of all in the metrics scope', TIMEOUT, async () => {
    const beat = entryOfService({ entry: 'heartbeat', cluster: 'prod', watched: 1, refused: 0 });
    const elsewhere = (entry: LogEntry): LogEntry => ({
      ...entry,
      resource: {
        ...entry.resource,
        labels: { ...entry.resource.labels, project_id: 'another-project' },
      },
    });
    for (const { alert, silent, ...situation } of SITUATIONS) {
      const { lines, figures } = await seenOf({ ...situation, silent: true });
      const others: NonNullable<Situation['figures']> = Object.fromEntries(
        Object.entries(figures).map(([metric, series]) => [
          metric,
          series.map(({ labels, value }) => ({
            labels: { ...labels, project_id: 'another-project' },
            value,
          })),
        ]),
      );
      const entries = lines.map(entryOfService).map(elsewhere);
      const expected = silent === true ? [alert] : [];
      assert.deepEqual(
        firingOn(silent === true ? entries : [beat, ...entries], others),
        expected,
        alert,
      );
    }
    assert.ok(
      firingOn([elsewhere(beat)]).includes('the bridge of prod has been silent for 15 min'),
    );
  });

  it('link to the log lines that they see', TIMEOUT, async () => {
    for (const situation of SITUATIONS) {
      // What is refused before it reaches the service has lines of Cloud Run's own, and silence has none.
      if (situation.happens === undefined || situation.silent === true) continue;
      if (situation.alert === 'pushes are refused') continue;
      const { logs } = watching.alerts[situation.alert] ?? assert.fail(situation.alert);
      const entries = (await seenOf(situation)).lines.map(entryOfService);
      assert.ok(
        entries.some((entry) => matchesFilter(logs, entry)),
        `${situation.alert}: ${logs}`,
      );
    }
  });

  it('last as long as a situation must, where a moment is no trouble', () => {
    const lasting = Object.entries(watching.alerts).filter(([, { duration }]) => duration !== '0s');
    assert.deepEqual(
      lasting.map(([title, { duration }]) => [title, duration]),
      [
        ['events wait longer than 60 min', '600s'],
        ['pushes are refused', '1800s'],
        ['tags or repositories have been failing for an hour', '3600s'],
      ],
    );
  });

  it('take what the service asks to have again for no refused push', () => {
    const retry = entryOfService({ entry: 'event', decision: 'retry', reason: 'changed' });
    const asked = Array.from({ length: 9 }, () => retry);
    const figures = {
      'pubsub_googleapis_com:subscription_push_request_count': [
        pushed('remote_server_5xx', 'internal', 9),
        pushed('ack', 'success', 1),
      ],
    };
    assert.equal(firingOn(asked, figures).includes('pushes are refused'), false);
    assert.equal(firingOn([], figures).includes('pushes are refused'), true);
  });
});

describe('the reader of filters', () => {
  const entry = entryOfService({ entry: 'tag', code: 'NETWORK', held: 3, severity: 'WARNING' });
  for (const [filter, expected] of [
    ['jsonPayload.entry="tag"', true],
    ['jsonPayload.entry="event"', false],
    ['jsonPayload.entry="event" OR jsonPayload.held>2', true],
    ['jsonPayload.entry="tag" AND NOT jsonPayload.code:*', false],
    ['jsonPayload.code=("TIMEOUT" OR "NETWORK")', true],
    ['jsonPayload.other:*', false],
    ['jsonPayload.held>3', false],
    ['severity>=WARNING', true],
    ['severity>=ERROR', false],
    ['(resource.labels.service_name="x" OR resource.labels.job_name="y")', false],
  ] as const) {
    it(`${expected ? 'takes' : 'leaves'} a line by ${filter}`, () => {
      assert.equal(matchesFilter(filter, entry), expected);
    });
  }

  it('refuses what it does not understand', () => {
    assert.throws(() => matchesFilter('jsonPayload.a="b" jsonPayload.c', entry), /not understood/);
  });
});

describe('the reader of PromQL', () => {
  const series = (code: string, value: number): Series => ({ labels: { code }, value });
  const samples: Samples = new Map([['m', [series('A', 2), series('A', 1), series('B', 5)]]]);
  for (const [query, expected] of [
    ['sum(increase(m{code="A"}[10m]))', [3]],
    ['sum by (code) (increase(m[10m])) > 3', [5]],
    ['max(m)', [5]],
    ['sum(increase(m{code=~"A|C"}[5m])) / sum(increase(m[5m])) > 0.5', []],
    ['(sum(increase(m{code!~"A"}[5m])) - (sum(increase(none[5m])) or vector(0))) / 2', [2.5]],
    [
      'sum by (code) (increase(m[10m])) > 2 and on () (sum(increase(m{code="B"}[10m])) > 4)',
      [3, 5],
    ],
    ['sum by (code) (increase(m[10m])) > 2 and on () (sum(increase(m{code="B"}[10m])) > 5)', []],
    ['sum by (code) (m) and sum by (code) (m{code="B"})', [5]],
    ['sum by (x) (label_replace(m, "x", "$1$2", "code", "(A|B)(?:-)?()")) * 2', [6, 10]],
    ['min(m)', [1]],
    ['absent_over_time(none[15m])', [1]],
    ['absent_over_time(m{code="B"}[15m])', []],
    ['sum(increase(none[15m])) < 0.5', []],
  ] as const) {
    it(`evaluates ${query}`, () => {
      assert.deepEqual(
        evaluatePromql(query, samples).map(({ value }) => value),
        expected,
      );
    });
  }

  it('refuses what it does not understand', () => {
    assert.throws(() => evaluatePromql('m offset 5m', samples), /not understood/);
  });
});
