import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { newHostMemory } from '../../../functions/registry/host-memory.ts';

describe('host memory', () => {
  it('knows nothing at first, and nothing of another host', () => {
    const one = newHostMemory();
    const other = newHostMemory();
    const { head, ...rest } = one;
    assert.equal(head, 'untried');
    for (const [name, value] of Object.entries(rest) as [string, unknown][]) {
      const size = value instanceof Map || value instanceof Set ? value.size : value;
      assert.ok(size === false || size === 0 || size === undefined, name);
    }
    one.rangeRefused.add('sha256:00');
    assert.equal(other.rangeRefused.size, 0);
  });
});
