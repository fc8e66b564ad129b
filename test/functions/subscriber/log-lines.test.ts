import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Fault } from '../../../functions/fault.ts';
import { OUTCOMES } from '../../../functions/mirror/outcome.ts';
import type { Decision } from '../../../functions/subscriber/decision.ts';
import {
  eventFields,
  logEvent,
  logTag,
  type EventOutcome,
} from '../../../functions/subscriber/log-lines.ts';
import { FUNCTION_METRICS } from '../../../functions/telemetry/metrics-catalogue.ts';
import { keptLines, sampleEvent, sampleRecord, sampleReport } from './samples.ts';

const done: Decision = { action: 'acknowledge', reason: 'Finished' };
const NOW_MS = Date.parse('2026-08-10T09:00:12Z');

function eventLine(outcome: Partial<EventOutcome>, event = sampleEvent()): Record<string, unknown> {
  const { logger, lines } = keptLines();
  logEvent(logger.child(eventFields(event)), event, {
    decision: done,
    shared: false,
    durationMs: 4100,
    nowMs: NOW_MS,
    ...outcome,
  });
  return lines[0] ?? assert.fail('no line');
}

describe('line of a tag', () => {
  for (const outcome of OUTCOMES) {
    it(`is written for ${outcome}`, () => {
      const { logger, lines } = keptLines();
      logTag(logger, 'ghcr.io/x/y', sampleRecord({ outcome }));
      assert.equal(lines[0]?.['entry'], 'tag');
      assert.equal(lines[0]['outcome'], outcome);
      assert.equal(lines[0]['severity'] === 'DEBUG', outcome === 'skipped');
    });
  }

  it('is louder for a failure that is not tried again', () => {
    const { logger, lines } = keptLines();
    for (const code of ['SERVER_ERROR', 'MANIFEST_TOO_LARGE'] as const) {
      logTag(logger, 'x', sampleRecord({ outcome: 'failed', fault: new Fault(code, 'why') }));
    }
    assert.deepEqual(
      lines.map(({ severity, code }) => `${String(severity)} ${String(code)}`),
      ['WARNING SERVER_ERROR', 'ERROR MANIFEST_TOO_LARGE'],
    );
  });
});

describe('line of an event', () => {
  it('says what was done in words and in figures', () => {
    const records = [
      sampleRecord({ bytesUploaded: 10, blobs: { uploaded: 2, mounted: 1, present: 3 } }),
      sampleRecord({ tag: 'sha256-x.sig', subject: 'sha256:x' }),
      sampleRecord({ tag: '2.0', outcome: 'skipped' }),
    ];
    const line = eventLine({ report: sampleReport(records, { selectedTagCount: 2 }) });
    assert.equal(
      line['message'],
      'mirrored 1 of 2 tags of ghcr.io/stefanprodan/podinfo in 4.1 s, 1 signatures and referrers',
    );
    const { entry, decision, decisionReason, copied, skipped, bytesUploaded, blobsMounted } = line;
    assert.deepEqual(
      { entry, decision, decisionReason, copied, skipped, bytesUploaded, blobsMounted },
      {
        entry: 'event',
        decision: 'acknowledge',
        decisionReason: 'Finished',
        copied: 2,
        skipped: 1,
        bytesUploaded: 10,
        blobsMounted: 1,
      },
    );
    assert.equal(line['lagSeconds'], 10);
    assert.equal(line['durationSeconds'], 4.1);
    assert.equal(line['image'], 'ghcr.io/stefanprodan/podinfo');
  });

  const withoutLag: readonly [name: string, line: () => Record<string, unknown>][] = [
    [
      'nothing was copied',
      () => eventLine({ report: sampleReport([sampleRecord({ outcome: 'skipped' })]) }),
    ],
    [
      'it is a continuation',
      () => eventLine({ report: sampleReport([sampleRecord()]) }, sampleEvent({ continuation: 1 })),
    ],
    [
      'it is a resync',
      () =>
        eventLine({ report: sampleReport([sampleRecord()]) }, sampleEvent({ reason: 'resync' })),
    ],
    ['it was shared', () => eventLine({ report: sampleReport([sampleRecord()]), shared: true })],
  ];
  for (const [name, line] of withoutLag) {
    it(`tells no lag where ${name}`, () => {
      assert.equal(line()['lagSeconds'], undefined);
    });
  }

  it("leaves another delivery's figures to its line", () => {
    const line = eventLine({ report: sampleReport([sampleRecord()]), shared: true });
    assert.equal(line['copied'], undefined);
    assert.equal(line['shared'], true);
  });

  const severities: readonly [expected: string, outcome: Partial<EventOutcome>][] = [
    ['INFO', { report: sampleReport([]) }],
    ['WARNING', { decision: { action: 'retry', reason: 'TransientFailures' } }],
    ['NOTICE', { decision: { action: 'continue', reason: 'DeadlinePassed', tags: ['1.0'] } }],
    ['ERROR', { decision: { action: 'acknowledge', reason: 'PermanentFailures' } }],
    [
      'ERROR',
      {
        decision: {
          action: 'dead-letter',
          reason: 'NeverSucceeds',
          fault: new Fault('SOURCE_FORBIDDEN', 'x'),
        },
      },
    ],
    [
      'WARNING',
      {
        report: sampleReport([], {
          brake: { engaged: true, missing: 2000, maxMissingTags: 1000, held: 1000 },
          counts: { ...sampleReport().counts, held: 1000 },
        }),
      },
    ],
  ];
  for (const [expected, outcome] of severities) {
    it(`is ${expected} for ${outcome.decision?.action ?? 'acknowledge'} ${outcome.decision?.reason ?? ''}`, () => {
      assert.equal(eventLine(outcome)['severity'], expected);
    });
  }

  it('carries every field that a metric extracts', () => {
    const fault = new Fault('SERVER_ERROR', 'x');
    const report = sampleReport([sampleRecord(), sampleRecord({ outcome: 'held' })]);
    const line = eventLine({ report, fault });
    const fields = FUNCTION_METRICS.filter(({ entry }) => entry === 'event').flatMap(
      ({ field, present, labels }) => [field, present, ...Object.values(labels)],
    );
    for (const field of fields) {
      if (field !== undefined) assert.ok(field in line, field);
    }
  });
});
