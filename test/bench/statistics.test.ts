import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { ratioInWords, ratioOf, spreadOf } from './statistics.ts';

describe('spreadOf', () => {
  it('takes the middle of an odd and the mean of the middles of an even number of runs', () => {
    assert.deepEqual(spreadOf([3, 1, 2]), { median: 2, min: 1, max: 3 });
    assert.equal(spreadOf([4, 1, 2, 3]).median, 2.5);
  });
});

describe('ratioInWords', () => {
  it('calls a ratio inside its spread no difference', () => {
    assert.equal(ratioInWords(ratioOf([1, 2, 3], [2, 2, 2])), 'no difference');
    assert.equal(ratioInWords(ratioOf([1, 1.2, 1], [2, 2, 2])), '0.50 (0.50…0.60)');
  });
});
