import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { parseRemaining, RESERVED_PULLS } from '../../../functions/registry/rate-limit.ts';

describe('rate limit', () => {
  const cases: readonly (readonly [string | undefined, number | undefined])[] = [
    ['76;w=21600', 76],
    ['0;w=21600', 0],
    [' 12 ; w=1', 12],
    ['100', 100],
    ['', undefined],
    ['many', undefined],
    ['-1;w=1', undefined],
    [undefined, undefined],
  ];
  for (const [header, expected] of cases) {
    it(`reads '${header ?? ''}' as ${expected ?? 'nothing'}`, () => {
      assert.equal(parseRemaining(header), expected);
    });
  }

  it('reserves some pulls', () => {
    assert.equal(RESERVED_PULLS, 5);
  });
});
