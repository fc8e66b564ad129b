import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { effectiveExclusion, withoutExcluded } from '../../stand-ins/flux-scanner/exclusion.ts';

describe('the exclusion list', () => {
  it('is the default where it is absent or empty, and replaces it otherwise', () => {
    assert.deepEqual(effectiveExclusion(undefined), ['^.*\\.sig$']);
    assert.deepEqual(effectiveExclusion([]), ['^.*\\.sig$']);
    assert.deepEqual(effectiveExclusion(['^$']), ['^$']);
  });

  for (const [pattern, kept] of [
    ['^.*\\.sig$', '1.0.0 sha256-ab.att LATEST'],
    ['0', 'sha256-ab.sig sha256-ab.att LATEST'],
    ['(?i)latest', '1.0.0 sha256-ab.sig sha256-ab.att'],
    ['(?P<major>\\d+)\\.\\d+', 'sha256-ab.sig sha256-ab.att LATEST'],
    ['^[[:digit:]]', 'sha256-ab.sig sha256-ab.att LATEST'],
    ['\\A1\\.0\\.0\\z', 'sha256-ab.sig sha256-ab.att LATEST'],
    ['\\Q.att\\E', '1.0.0 sha256-ab.sig LATEST'],
    ['^$', '1.0.0 sha256-ab.sig sha256-ab.att LATEST'],
  ] as const) {
    it(`leaves "${kept}" for ${pattern}`, () => {
      const tags = ['1.0.0', 'sha256-ab.sig', 'sha256-ab.att', 'LATEST'];
      assert.equal(withoutExcluded(tags, [pattern]).join(' '), kept);
    });
  }

  it('drops what any pattern matches', () => {
    assert.deepEqual(withoutExcluded(['a', 'b', 'c'], ['a', 'c']), ['b']);
  });

  it('refuses what is no RE2 expression', () => {
    for (const pattern of ['[', '(?=look)', '(a)\\1']) {
      assert.throws(() => withoutExcluded(['a'], [pattern]), Error);
    }
  });
});
