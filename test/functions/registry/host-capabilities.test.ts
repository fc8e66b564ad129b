import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { RecentMap } from '../../../functions/recent-map.ts';
import { newHostMemory } from '../../../functions/registry/host-capabilities.ts';

const COLLECTIONS = [Map, Set, RecentMap];

describe('host memory', () => {
  it('knows nothing at first, and nothing of another host', () => {
    const one = newHostMemory();
    const other = newHostMemory();
    for (const [name, value] of Object.entries(one) as [string, unknown][]) {
      const isCollection = COLLECTIONS.some((kind) => value instanceof kind);
      const size = isCollection ? (value as { readonly size: number }).size : value;
      assert.ok(size === false || size === 0 || size === undefined, name);
    }
    one.rangeRefused.add('sha256:00');
    assert.equal(other.rangeRefused.size, 0);
  });
});
