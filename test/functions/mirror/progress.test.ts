import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { MirrorReport } from '../../../functions/mirror/report.ts';
import { blobOf, imageOf } from './images.ts';
import { Rig } from './rig.ts';

const MIB = 1024 * 1024;

interface Delivered {
  readonly reports: readonly MirrorReport[];
  /** Bytes that arrived and were in vain because a deadline came. */
  readonly lostBytes: number;
  readonly receivedBytes: number;
}

/** Delivers an event again and again, as a queue would, until nothing is unfinished. */
async function deliver(
  blobSizes: readonly number[],
  bytesPerSecond: number,
  wholeMs: number,
  freshProcesses: boolean,
): Promise<Delivered> {
  let rig = new Rig();
  rig.source.tag(
    'v1',
    imageOf(
      'v1',
      blobSizes.map((sizeBytes, index) => blobOf(`blob ${index}`, sizeBytes)),
    ),
  );
  const { source, destination } = rig;
  const reports: MirrorReport[] = [];
  do {
    if (freshProcesses) rig = new Rig();
    rig.use(source, destination);
    rig.slowLink(bytesPerSecond);
    reports.push(await rig.mirror({}, rig.delivery(wholeMs)));
    assert.equal(reports.at(-1)?.progressed, true, `delivery ${reports.length} did nothing`);
  } while (reports.at(-1)?.unfinished.length !== 0 && reports.length < 20);
  const distinctBytes = blobSizes.reduce((sum, size) => sum + size, 0) + 64;
  assert.equal(
    reports.reduce((sum, report) => sum + report.bytesUploaded, 0),
    distinctBytes,
  );
  return {
    reports,
    receivedBytes: destination.bytesReceived,
    lostBytes: destination.bytesReceived - distinctBytes,
  };
}

describe('progress that lasts', () => {
  const six = Array.from({ length: 6 }, () => 4 * MIB);
  for (const freshProcesses of [false, true]) {
    const where = freshProcesses ? 'in another process each time' : 'in one process';
    it(`finishes 6 blobs that need 3 deadlines within 4 deliveries, ${where}`, async () => {
      // 24 MiB at 1 MiB/s, of which a delivery of 10 s moves 10.
      const { reports, lostBytes } = await deliver(six, MIB, 10_000, freshProcesses);
      assert.ok(reports.length <= 4, `${reports.length} deliveries`);
      // One stream may be cut at each deadline but the last.
      assert.ok(lostBytes <= (reports.length - 1) * 4 * MIB, `${lostBytes} bytes in vain`);
    });
  }

  it('sends nothing twice where the rate is known before the deadline', async () => {
    const { lostBytes } = await deliver(six, 2 * MIB, 5_000, false);
    assert.equal(lostBytes, 0);
  });

  it('finishes blobs of different sizes', async () => {
    const sizes = [20 * MIB, 4 * MIB, 8 * MIB, 16 * MIB, 12 * MIB, 5 * MIB];
    const { reports } = await deliver(sizes, 4 * MIB, 7_000, false);
    assert.ok(reports.length <= 4, `${reports.length} deliveries`);
  });

  it('sends blobs side by side while there is time for all', async () => {
    const rig = new Rig();
    rig.source.tag(
      'v1',
      imageOf(
        'v1',
        six.map((size, index) => blobOf(`blob ${index}`, size)),
      ),
    );
    rig.slowLink(MIB);
    await rig.mirror({}, rig.delivery(540_000));
    assert.ok(rig.destination.mostUploads >= 6);
  });
});
