import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { ReportBuilder } from '../../../functions/mirror/report-builder.ts';
import type { TagRecord } from '../../../functions/mirror/outcome.ts';
import type { PhaseTime } from '../../../functions/mirror/report.ts';
import { TransferStats } from '../../../functions/mirror/transfer-stats.ts';
import { sampleRecord } from '../subscriber/samples.ts';

const RECORD = sampleRecord({ bytesUploaded: 5 });

const FACTS = {
  source: 's',
  destination: 'd',
  dryRun: false,
  ending: 'finished',
  sourceTagCount: 1,
  selectedTagCount: 1,
  destinationTagCount: 0,
  brake: { engaged: false, missing: 1, maxMissingTags: 0, held: 0 },
  delegated: [],
  handedOff: [],
} as const;

describe('ReportBuilder', () => {
  it('times phases, those that fail too, and tells them', async () => {
    let nowMs = 0;
    const told: PhaseTime[] = [];
    const ledger = new ReportBuilder(() => nowMs, { onPhase: (time) => told.push(time) });
    const value = await ledger.phase('list', () => {
      nowMs += 5;
      return Promise.resolve(42);
    });
    await assert.rejects(
      ledger.phase('plan', () => Promise.reject(new Error('no'))),
      /^Error: no$/,
    );
    assert.equal(value, 42);
    assert.deepEqual(told, [
      { phase: 'list', durationMs: 5 },
      { phase: 'plan', durationMs: 0 },
    ]);
    assert.deepEqual(ledger.draw(FACTS).phases, told);
  });

  it('keeps and tells records', () => {
    const told: TagRecord[] = [];
    const ledger = new ReportBuilder(() => 0, { onRecord: (record) => told.push(record) });
    ledger.record(RECORD);
    assert.deepEqual(told, [RECORD]);
    assert.deepEqual(ledger.draw(FACTS).records, [RECORD]);
  });

  it('adds up what was moved, and keeps progress once made', () => {
    const ledger = new ReportBuilder(() => 0, {});
    assert.equal(ledger.draw(FACTS).progressed, false);
    const stats = new TransferStats();
    stats.blob({ arrival: 'uploaded', bytesUploaded: 7 }, 20);
    stats.blob({ arrival: 'mounted', bytesUploaded: 0 }, 20);
    ledger.add(stats);
    ledger.add(stats);
    const nothing = new TransferStats();
    nothing.blob({ arrival: 'present', bytesUploaded: 0 }, 20);
    ledger.add(nothing);
    const report = ledger.draw(FACTS);
    const blobs = { blobsUploaded: 2, blobsMounted: 2, blobsPresent: 1 };
    const sums = { ...blobs, bytesUploaded: 14, bytesSaved: 60, progressed: true };
    assert.deepEqual({ ...report, ...sums }, report);
  });
});
