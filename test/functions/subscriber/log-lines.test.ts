import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { MirrorError } from '../../../functions/errors.ts';
import { OUTCOMES, type TagRecord } from '../../../functions/mirror/outcome.ts';
import type { Decision } from '../../../functions/subscriber/decision.ts';
import {
  eventFields,
  logEvent,
  logHeartbeat,
  logWholeIndexes,
  TagLines,
  type EventOutcome,
} from '../../../functions/subscriber/log-lines.ts';
import { FUNCTION_METRICS } from '../../../functions/telemetry/metrics-catalogue.ts';
import {
  failedRecord,
  keptLines,
  LEFT_ASIDE,
  sampleEvent,
  sampleRecord,
  sampleReport,
} from './samples.ts';

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

/** The lines of an event's tags. */
function tagLines(records: readonly TagRecord[]): readonly Record<string, unknown>[] {
  const { logger, lines } = keptLines();
  const tags = new TagLines(logger, 'ghcr.io/x/y');
  for (const record of records) tags.write(record);
  tags.end();
  return lines;
}

describe('lines of tags', () => {
  for (const outcome of OUTCOMES) {
    it(`are written for ${outcome}`, () => {
      const [line, ...more] = tagLines([sampleRecord({ outcome })]);
      assert.deepEqual(more, []);
      assert.equal(line?.['entry'], 'tag');
      assert.equal(line['outcome'], outcome);
      assert.equal(line['severity'] === 'DEBUG', outcome === 'skipped');
      assert.equal(line['code'], outcome === 'lost' ? 'NOT_FOUND' : undefined);
      assert.equal('subject' in line, false);
    });
  }

  it('tell at the usual level what is left aside, and why', () => {
    for (const reason of LEFT_ASIDE) {
      const records = Array.from({ length: 21 }, () =>
        sampleRecord({ outcome: 'skipped', reason }),
      );
      const lines = tagLines(records);
      assert.equal(lines.length, 21);
      const told = lines.map(({ severity, outcomeReason }) => [severity, outcomeReason]);
      assert.ok(told.every(([severity, why]) => severity === 'NOTICE' && why === reason));
      assert.deepEqual([lines[20]?.['entry'], lines[20]?.['count']], ['tag-kind', 21]);
    }
  });

  it('say what was left out for its platform, and what is whole for want of one', () => {
    const [left, whole] = tagLines([
      sampleRecord({ platformsLeftOut: 8 }),
      sampleRecord({ noPlatformMatched: true }),
    ]);
    assert.deepEqual([left?.['platformsLeftOut'], left?.['noPlatformMatched']], [8, undefined]);
    assert.deepEqual(
      [whole?.['platformsLeftOut'], whole?.['noPlatformMatched']],
      [undefined, true],
    );
  });

  it('say of an overwritten tag what keeps the old digest, or that nothing does', () => {
    const [kept, lost] = tagLines([
      sampleRecord({ outcome: 'overwritten', backupTag: 'backup-v1-0' }),
      sampleRecord({ outcome: 'overwritten', noBackup: true }),
    ]);
    assert.deepEqual([kept?.['backupTag'], kept?.['noBackup']], ['backup-v1-0', undefined]);
    assert.deepEqual(
      [lost?.['backupTag'], lost?.['noBackup'], lost?.['severity']],
      [undefined, true, 'NOTICE'],
    );
    assert.match(String(lost?.['message']), /^overwritten ghcr\.io\/x\/y:\S+ without a backup$/);
  });

  it('are louder for a failure that is not tried again', () => {
    const lines = tagLines([failedRecord('SERVER_ERROR'), failedRecord('MANIFEST_TOO_LARGE')]);
    assert.deepEqual(
      lines.map(({ severity, code }) => `${String(severity)} ${String(code)}`),
      ['WARNING SERVER_ERROR', 'ERROR MANIFEST_TOO_LARGE'],
    );
  });

  it('are the first 20 of a kind and a count', () => {
    const records = Array.from({ length: 50 }, (_, n) => [
      failedRecord('NETWORK', `network-${n}`),
      failedRecord('NOT_FOUND', `missing-${n}`),
      sampleRecord({ tag: `held-${n}`, outcome: 'held', reason: 'BrakeEngaged' }),
    ]).flat();
    const lines = tagLines(records);
    assert.equal(lines.filter(({ entry }) => entry === 'tag').length, 60);
    assert.deepEqual(
      lines.slice(60).map(({ message, severity, entry, outcome, code, count, told }) => {
        assert.deepEqual([entry, count, told], ['tag-kind', 50, 20]);
        return [outcome, severity, code, message];
      }),
      [
        [
          'failed',
          'WARNING',
          'NETWORK',
          'failed 50 tags of ghcr.io/x/y (NETWORK), 20 of them told',
        ],
        [
          'failed',
          'ERROR',
          'NOT_FOUND',
          'failed 50 tags of ghcr.io/x/y (NOT_FOUND), 20 of them told',
        ],
        ['held', 'INFO', undefined, 'held 50 tags of ghcr.io/x/y (BrakeEngaged), 20 of them told'],
      ],
    );
    assert.equal(tagLines(records.slice(0, 3 * 20)).length, 60);
  });

  it('and what they leave out add up to all tags but the skipped ones', () => {
    const records = OUTCOMES.flatMap((outcome) =>
      Array.from({ length: 50 }, (_, n) => sampleRecord({ tag: `v${n}`, outcome })),
    );
    const lines = tagLines(records).filter(({ outcome }) => outcome !== 'skipped');
    const told = lines.filter(({ entry }) => entry === 'tag').length;
    const untold = lines.map(({ untold: count }) => Number(count ?? 0));
    assert.equal(
      untold.reduce((sum, count) => sum + count, told),
      records.length - 50,
    );
    const skipped = tagLines(records.filter(({ outcome }) => outcome === 'skipped'));
    assert.ok(skipped.every((line) => !('untold' in line)));
  });

  it('leave out no tag that was mirrored', () => {
    for (const outcome of ['copied', 'retagged', 'overwritten'] as const) {
      const records = Array.from({ length: 50 }, () => sampleRecord({ outcome }));
      assert.equal(tagLines(records).length, 50);
    }
  });
});

describe('line of an event', () => {
  it('counts what is left aside, in words and in figures', () => {
    const aside = sampleRecord({ tag: 'a b', outcome: 'skipped', reason: 'TagInvalid' });
    const line = eventLine({ report: sampleReport([aside, sampleRecord()]) });
    assert.equal(line['leftAside'], 1);
    assert.match(String(line['message']), /, 1 left aside$/);
    assert.equal(eventLine({ report: sampleReport([sampleRecord()]) })['leftAside'], undefined);
  });

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

  it('sums up what was left out for its platform', () => {
    const records = [sampleRecord({ platformsLeftOut: 8 }), sampleRecord({ platformsLeftOut: 1 })];
    const line = eventLine({ report: sampleReport(records) });
    assert.equal(line['platformsLeftOut'], 9);
    assert.match(String(line['message']), /, 9 platforms left out$/);
  });

  it('tells the sign of life of a bridge', () => {
    const { logger, lines } = keptLines();
    const figures = { cluster: 'prod', watched: 7, refused: 1 };
    logHeartbeat(logger, figures);
    const [line] = lines;
    assert.deepEqual(line, { ...line, ...figures, entry: 'heartbeat' });
    assert.match(JSON.stringify(line), /the bridge of prod publishes/);
  });

  it('names a host that takes whole indexes only', () => {
    const { logger, lines } = keptLines();
    logWholeIndexes(logger, 'r.example');
    assert.deepEqual(
      lines.map(({ entry, host, severity }) => [entry, host, severity]),
      [['whole-indexes', 'r.example', 'NOTICE']],
    );
  });

  const copied = sampleReport([sampleRecord()]);
  for (const [name, report, reason, shared] of [
    ['nothing was copied', sampleReport([sampleRecord({ outcome: 'skipped' })])],
    ['something is left', { ...copied, unfinished: ['2.0'] }],
    ['the rest was divided into batches', { ...copied, ending: 'fanned-out' }],
    ['it is a resync', copied, 'resync'],
    ['it was shared', copied, 'changed', true],
  ] as const) {
    it(`tells no lag where ${name}`, () => {
      const line = eventLine(
        { report, shared: shared === true },
        sampleEvent({ reason: reason ?? 'changed' }),
      );
      assert.equal(line['lagSeconds'], undefined);
    });
  }

  for (const [name, data] of [
    ['a continuation', { continuation: 1 }],
    ['a batch', { tags: ['1.0'] }],
  ] as const) {
    it(`tells the lag where ${name} ends what a change began`, () => {
      for (const outcome of ['copied', 'retagged', 'overwritten'] as const) {
        const report = sampleReport([sampleRecord(), sampleRecord({ outcome })]);
        assert.equal(eventLine({ report }, sampleEvent(data))['lagSeconds'], 10);
      }
    });
  }

  it('tells no lag below zero, where clocks differ', () => {
    const scanned = sampleEvent({ scanTime: '2026-08-10T09:00:13Z' });
    assert.equal(eventLine({ report: sampleReport([sampleRecord()]) }, scanned)['lagSeconds'], 0);
  });

  it('tells that signatures by tag stay behind', () => {
    const line = eventLine({ report: sampleReport([], { sourceUnlisted: 'FORBIDDEN' }) });
    assert.equal(line['sourceUnlisted'], 'FORBIDDEN');
    assert.equal(line['severity'], 'NOTICE');
    assert.match(String(line['message']), /no signatures by tag: the source's list is FORBIDDEN/);
    assert.equal('sourceUnlisted' in eventLine({ report: sampleReport([]) }), false);
  });

  it('tells that a destination was asked tag by tag', () => {
    const line = eventLine({ report: sampleReport([], { destinationUnlisted: 'FORBIDDEN' }) });
    assert.equal(line['destinationUnlisted'], 'FORBIDDEN');
    assert.equal(line['severity'], 'NOTICE');
    assert.match(String(line['message']), /asked tag by tag: the destination's list is FORBIDDEN/);
    assert.equal(eventLine({ report: sampleReport([]) })['severity'], 'INFO');
  });

  it('counts a source that is not there, and the tags that it had', () => {
    const report = sampleReport([], { ending: 'source-lost' });
    const lost = eventLine({ report }, sampleEvent({ tagCount: 7 }));
    assert.equal(lost['code'], 'SOURCE_LOST');
    assert.equal(lost['announcedTags'], 7);
    const empty = eventLine({ report }, sampleEvent({ tagCount: 0 }));
    assert.equal(empty['code'], 'SOURCE_LOST');
    assert.equal('announcedTags' in empty, false);
    const asked = eventLine({ report }, sampleEvent({ tagCount: 0, tags: ['1.0'] }));
    assert.equal(asked['announcedTags'], 1);
    assert.equal('code' in eventLine({ report, shared: true }), false);
  });

  it("leaves another delivery's figures to its line", () => {
    const line = eventLine({ report: sampleReport([sampleRecord()]), shared: true });
    assert.equal(line['copied'], undefined);
    assert.equal(line['shared'], true);
  });

  const NAME = 'ghcr.io/stefanprodan/podinfo';
  const none = `mirrored 0 of 0 tags of ${NAME} in 4.1 s`;
  const report = sampleReport([]);
  const fault = new MirrorError('SOURCE_FORBIDDEN', 'x');
  const told: readonly [severity: string, words: string, outcome: Partial<EventOutcome>][] = [
    ['INFO', none, { report }],
    [
      'INFO',
      `mirrored 3 of 3 tags of ${NAME} in 4.1 s, 1 platforms left out`,
      {
        report: sampleReport([
          sampleRecord({ platformsLeftOut: 1 }),
          sampleRecord({ outcome: 'retagged' }),
          sampleRecord({ outcome: 'overwritten' }),
        ]),
      },
    ],
    [
      'WARNING',
      `could not mirror ${NAME}: TransientFailures in 4.1 s`,
      { decision: { action: 'retry', reason: 'TransientFailures' } },
    ],
    [
      'NOTICE',
      `${none}, continue: DeadlinePassed`,
      { report, decision: { action: 'continue', reason: 'DeadlinePassed', tags: ['1.0'] } },
    ],
    [
      'NOTICE',
      `${none}, batch: BatchUnfinished`,
      { report, decision: { action: 'batch', reason: 'BatchUnfinished', tags: ['1.0'] } },
    ],
    ['ERROR', none, { report, decision: { action: 'acknowledge', reason: 'PermanentFailures' } }],
    [
      'WARNING',
      `the source ${NAME} is not there`,
      {
        report: sampleReport([], { ending: 'source-lost' }),
        decision: { action: 'acknowledge', reason: 'SourceLost' },
      },
    ],
    [
      'ERROR',
      `gave up ${NAME}: x`,
      { decision: { action: 'dead-letter', reason: 'NeverSucceeds', fault } },
    ],
    [
      'WARNING',
      `${none}, 1 held: 2000 are missing, more than MAX_MISSING_TAGS 1000 (request a run, narrow the selection or raise the limit)`,
      {
        report: sampleReport([], {
          brake: { engaged: true, missing: 2000, maxMissingTags: 1000, held: 1 },
          counts: { ...sampleReport().counts, held: 1 },
        }),
      },
    ],
    [
      'INFO',
      `${none}, 1 failed, 2 handed to the job`,
      {
        report: sampleReport([], {
          ending: 'handed-off',
          delegated: ['a', 'b'],
          counts: { ...sampleReport().counts, failed: 1 },
        }),
      },
    ],
    [
      'INFO',
      `${none}, 1 published as batches`,
      { report: sampleReport([], { ending: 'fanned-out', delegated: ['a'] }) },
    ],
  ];
  for (const [severity, words, outcome] of told) {
    it(`is ${severity} and says: ${words}`, () => {
      const { severity: written, message, code } = eventLine(outcome);
      const deadLetter = outcome.decision?.action === 'dead-letter';
      const lost = outcome.report?.ending === 'source-lost' ? 'SOURCE_LOST' : undefined;
      assert.deepEqual(
        [written, message, code],
        [severity, words, deadLetter ? 'SOURCE_FORBIDDEN' : lost],
      );
    });
  }

  it('tells every figure that there is, and no other', () => {
    const figures = {
      ...{ copied: 1, retagged: 1, handOffReason: 'BlobTooSlow', sourceUnlisted: 'FORBIDDEN' },
      ...{ platformsLeftOut: 1, delegatedTags: 1, leftAside: 1, unfinishedTags: 1 },
      ...{ brakeMissing: 4, maxMissingTags: 3 },
    };
    const records = [sampleRecord(), sampleRecord({ outcome: 'retagged' })];
    const line = eventLine({
      report: sampleReport(records, {
        ...{ handOffReason: 'BlobTooSlow', sourceUnlisted: 'FORBIDDEN', platformsLeftOut: 1 },
        ...{ delegated: ['a'], leftAside: 1, unfinished: ['b'], destinationTagCount: 5 },
        brake: { engaged: true, missing: 4, maxMissingTags: 3, held: 1 },
      }),
    });
    assert.deepEqual({ ...line, ...figures, destinationTags: 7 }, line);
    const bare = eventLine({ report: sampleReport([]) });
    for (const name of Object.keys(figures)) assert.equal(name in bare, false, name);
  });

  it('carries every field that a metric extracts', () => {
    const mirrored = sampleReport([
      sampleRecord({ platformsLeftOut: 1 }),
      sampleRecord({ outcome: 'held' }),
    ]);
    const lost = sampleReport([], { ending: 'source-lost' });
    const line = { ...eventLine({ report: lost }), ...eventLine({ report: mirrored, fault }) };
    const fields = FUNCTION_METRICS.filter(({ entry }) => entry === 'event').flatMap(
      ({ field, present, labels }) => [field, present, ...Object.values(labels)],
    );
    for (const field of fields) {
      if (field !== undefined) assert.ok(field in line, field);
    }
  });
});
