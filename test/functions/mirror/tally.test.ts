import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { NO_BLOBS } from '../../../functions/mirror/outcome.ts';
import { Tally } from '../../../functions/mirror/tally.ts';

describe('Tally', () => {
  it('counts blobs by arrival, and bytes', () => {
    const tally = new Tally();
    tally.blob({ arrival: 'uploaded', bytesUploaded: 10 }, 20);
    tally.blob({ arrival: 'uploaded', bytesUploaded: 5 }, 20);
    tally.blob({ arrival: 'mounted', bytesUploaded: 0 }, 20);
    tally.blob({ arrival: 'present', bytesUploaded: 0 }, 20);
    tally.blob({ arrival: 'known', bytesUploaded: 0 }, 20);
    assert.deepEqual(tally.blobs, { uploaded: 2, mounted: 1, present: 2 });
    assert.equal(tally.bytesUploaded, 15);
    assert.equal(tally.bytesSaved, 60);
  });

  it('saves nothing that it can count where a descriptor tells no size', () => {
    const tally = new Tally();
    tally.blob({ arrival: 'present', bytesUploaded: 0 }, -1);
    assert.equal(tally.bytesSaved, 0);
  });

  it('takes for progress what lasts', () => {
    const nothing = new Tally();
    nothing.blob({ arrival: 'present', bytesUploaded: 0 }, 20);
    nothing.blob({ arrival: 'known', bytesUploaded: 0 }, 20);
    assert.equal(nothing.progressed, false);
    const mounted = new Tally();
    mounted.blob({ arrival: 'mounted', bytesUploaded: 0 }, 20);
    assert.equal(mounted.progressed, true);
    const pushed = new Tally();
    pushed.push();
    assert.equal(pushed.progressed, true);
    assert.equal(pushed.blobs, NO_BLOBS);
  });

  it('counts what is brought once more, and takes it for no progress', () => {
    const healing = new Tally();
    healing.blob({ arrival: 'uploaded', bytesUploaded: 20 }, 20);
    healing.blob({ arrival: 'mounted', bytesUploaded: 0 }, 30);
    healing.blob({ arrival: 'present', bytesUploaded: 0 }, 40);
    healing.leaveOut(2);
    healing.leaveForeignLayers();
    const tally = new Tally();
    tally.blob({ arrival: 'present', bytesUploaded: 0 }, 1);
    tally.heal(healing);
    assert.deepEqual(tally.blobs, { uploaded: 1, mounted: 1, present: 2 });
    assert.deepEqual([tally.bytesUploaded, tally.bytesSaved, tally.leftOut], [20, 71, 2]);
    assert.deepEqual([tally.leavesForeignLayers, tally.progressed], [true, false]);
  });
});
