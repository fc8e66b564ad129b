import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Fault } from '../../../functions/fault.ts';
import { countOutcomes, isUnfinished, OUTCOMES } from '../../../functions/mirror/outcome.ts';

describe('countOutcomes', () => {
  it('tells every outcome, those that did not occur as 0', () => {
    const counts = countOutcomes([
      { outcome: 'copied' },
      { outcome: 'copied' },
      { outcome: 'lost' },
    ]);
    assert.deepEqual(Object.keys(counts), [...OUTCOMES]);
    assert.equal(counts.copied, 2);
    assert.equal(counts.lost, 1);
    assert.equal(counts.failed, 0);
  });
});

describe('isUnfinished', () => {
  it('is a failure that may pass', () => {
    assert.equal(isUnfinished({ outcome: 'failed', fault: new Fault('NETWORK', '') }), true);
    assert.equal(isUnfinished({ outcome: 'failed', fault: new Fault('TAG_INVALID', '') }), false);
    assert.equal(isUnfinished({ outcome: 'drifted', fault: new Fault('NETWORK', '') }), false);
    assert.equal(isUnfinished({ outcome: 'copied' }), false);
  });
});
