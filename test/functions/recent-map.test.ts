import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { RecentMap } from '../../functions/recent-map.ts';

describe('RecentMap', () => {
  it('lets go what was used longest ago', () => {
    const map = new RecentMap<string, number>(2);
    map.set('a', 1).set('b', 2);
    assert.equal(map.get('a'), 1);
    assert.equal(
      map.remembered('c', () => 3),
      3,
    );
    assert.deepEqual(
      [...map],
      [
        ['a', 1],
        ['c', 3],
      ],
    );
    assert.equal(
      map.remembered('a', () => 4),
      1,
    );
    assert.equal(map.has('b'), false);
    assert.equal(map.get('b'), undefined);
    map.delete('a');
    assert.equal(map.size, 1);
  });

  it('keeps what cannot be spared, beyond its bound where nothing can', () => {
    const map = new RecentMap<string, boolean>(2, (spared) => spared);
    map.set('used', false).set('idle', true).set('new', false);
    assert.deepEqual(
      [...map].map(([key]) => key),
      ['used', 'new'],
    );
    map.set('newer', false);
    assert.equal(map.size, 3);
  });
});
