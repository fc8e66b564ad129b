import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { MirrorError } from '../../../functions/errors.ts';
import { isUnfinished } from '../../../functions/mirror/outcome.ts';

describe('isUnfinished', () => {
  it('is a failure that may pass', () => {
    assert.equal(isUnfinished({ outcome: 'failed', fault: new MirrorError('NETWORK', '') }), true);
    assert.equal(
      isUnfinished({ outcome: 'failed', fault: new MirrorError('TAG_INVALID', '') }),
      false,
    );
    assert.equal(
      isUnfinished({ outcome: 'drifted', fault: new MirrorError('NETWORK', '') }),
      false,
    );
    assert.equal(isUnfinished({ outcome: 'copied' }), false);
  });
});
