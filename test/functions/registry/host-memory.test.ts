import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { newHostMemory } from '../../../functions/registry/host-memory.ts';

describe('host memory', () => {
  it('knows nothing at first, and nothing of another host', () => {
    const one = newHostMemory();
    const other = newHostMemory();
    const { head, ...rest } = one;
    assert.equal(head, 'untried');
    assert.ok(
      Object.values(rest).every((value) => value === false || (value as Set<string>).size === 0),
    );
    one.rangeRefused.add('sha256:00');
    assert.equal(other.rangeRefused.size, 0);
  });
});
