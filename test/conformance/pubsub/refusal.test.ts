import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Refusal, requireArgument } from '../../stand-ins/pubsub/refusal.ts';

describe('refusal', () => {
  it('tells its status', () => {
    assert.equal(new Refusal('NOT_FOUND', 'there is none').status, 'NOT_FOUND');
  });

  it('refuses an argument only where the rule does not hold', () => {
    requireArgument(true, 'fine');
    assert.throws(
      () => {
        requireArgument(false, 'not fine');
      },
      { name: 'Refusal', status: 'INVALID_ARGUMENT' },
    );
  });
});
