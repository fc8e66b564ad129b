import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { NO_BLOBS } from '../../../functions/mirror/outcome.ts';
import { TransferStats } from '../../../functions/mirror/transfer-stats.ts';

describe('TransferStats', () => {
  it('counts blobs by arrival, and bytes', () => {
    const stats = new TransferStats();
    stats.blob({ arrival: 'uploaded', bytesUploaded: 10 }, 20);
    stats.blob({ arrival: 'uploaded', bytesUploaded: 5 }, 20);
    stats.blob({ arrival: 'mounted', bytesUploaded: 0 }, 20);
    stats.blob({ arrival: 'present', bytesUploaded: 0 }, 20);
    stats.blob({ arrival: 'known', bytesUploaded: 0 }, 20);
    assert.deepEqual(stats.blobs, { uploaded: 2, mounted: 1, present: 2 });
    assert.equal(stats.bytesUploaded, 15);
    assert.equal(stats.bytesSaved, 60);
  });

  it('saves nothing that it can count where a descriptor tells no size', () => {
    const stats = new TransferStats();
    stats.blob({ arrival: 'present', bytesUploaded: 0 }, -1);
    assert.equal(stats.bytesSaved, 0);
  });

  it('takes for progress what lasts', () => {
    const nothing = new TransferStats();
    nothing.blob({ arrival: 'present', bytesUploaded: 0 }, 20);
    nothing.blob({ arrival: 'known', bytesUploaded: 0 }, 20);
    assert.deepEqual([nothing.progressed, nothing.leavesForeignLayers], [false, false]);
    const mounted = new TransferStats();
    mounted.blob({ arrival: 'mounted', bytesUploaded: 0 }, 20);
    assert.equal(mounted.progressed, true);
    mounted.blob({ arrival: 'uploaded', bytesUploaded: 20 }, 20);
    assert.deepEqual(mounted.blobs, { uploaded: 1, mounted: 1, present: 0 });
    const pushed = new TransferStats();
    pushed.push();
    assert.equal(pushed.progressed, true);
    assert.equal(pushed.blobs, NO_BLOBS);
    assert.deepEqual(NO_BLOBS, { uploaded: 0, mounted: 0, present: 0 });
  });

  it('counts what is brought once more, and takes it for no progress', () => {
    const healing = new TransferStats();
    healing.blob({ arrival: 'uploaded', bytesUploaded: 20 }, 20);
    healing.blob({ arrival: 'mounted', bytesUploaded: 0 }, 30);
    healing.blob({ arrival: 'present', bytesUploaded: 0 }, 40);
    healing.leaveOut(2);
    healing.leaveForeignLayers();
    const stats = new TransferStats();
    stats.blob({ arrival: 'present', bytesUploaded: 0 }, 1);
    stats.heal(healing);
    assert.deepEqual(stats.blobs, { uploaded: 1, mounted: 1, present: 2 });
    assert.deepEqual([stats.bytesUploaded, stats.bytesSaved, stats.leftOut], [20, 71, 2]);
    assert.deepEqual([stats.leavesForeignLayers, stats.progressed], [true, false]);
  });
});
