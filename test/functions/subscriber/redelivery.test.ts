import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Redelivery } from '../../../functions/subscriber/redelivery.ts';

describe('redelivery', () => {
  it('has a stack that is one structured line, for whoever prints it', () => {
    const { stack = '' } = new Redelivery('NoProgress');
    assert.deepEqual(JSON.parse(stack), {
      severity: 'DEBUG',
      message: 'asked for redelivery: NoProgress',
    });
  });
});
