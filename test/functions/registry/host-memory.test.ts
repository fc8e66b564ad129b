import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { newHostMemory } from '../../../functions/registry/host-memory.ts';

describe('host memory', () => {
  it('knows nothing at first, and nothing of another host', () => {
    const one = newHostMemory();
    const other = newHostMemory();
    const { head, rangeRefused, bareNotFound, referrersRefusedUntilMs, ...rest } = one;
    assert.equal(head, 'untried');
    for (const { size } of [rangeRefused, bareNotFound, referrersRefusedUntilMs])
      assert.equal(size, 0);
    assert.ok(
      Object.values(rest).every((value) => value === false || value === 0 || value === undefined),
    );
    one.rangeRefused.add('sha256:00');
    assert.equal(other.rangeRefused.size, 0);
  });
});
