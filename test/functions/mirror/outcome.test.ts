import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Fault } from '../../../functions/fault.ts';
import { isUnfinished } from '../../../functions/mirror/outcome.ts';

describe('isUnfinished', () => {
  it('is a failure that may pass', () => {
    assert.equal(isUnfinished({ outcome: 'failed', fault: new Fault('NETWORK', '') }), true);
    assert.equal(isUnfinished({ outcome: 'failed', fault: new Fault('TAG_INVALID', '') }), false);
    assert.equal(isUnfinished({ outcome: 'drifted', fault: new Fault('NETWORK', '') }), false);
    assert.equal(isUnfinished({ outcome: 'copied' }), false);
  });
});
