import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { RunApiRefusal } from '../../stand-ins/cloud-run/refusal.ts';

describe('refusal of the Run API', () => {
  it('is answered as Google APIs answer errors', () => {
    const refusal = new RunApiRefusal('PERMISSION_DENIED', 'no');
    assert.equal(refusal.httpStatus, 403);
    assert.deepEqual(refusal.body, {
      error: { code: 403, message: 'no', status: 'PERMISSION_DENIED' },
    });
  });
});
