import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { canonicalHost, isDockerHub } from '../../../functions/contract/host.ts';

describe('canonical host', () => {
  for (const [written, form] of [
    ['ghcr.io', 'ghcr.io'],
    ['GHCR.IO', 'ghcr.io'],
    ['ghcr.io:443', 'ghcr.io'],
    ['ghcr.io.', 'ghcr.io'],
    ['Ghcr.io.:443', 'ghcr.io'],
    ['localhost:05000', 'localhost:5000'],
    ['[0:0:0:0:0:0:0:1]:5000', '[::1]:5000'],
    ['[FD00::0:1]', '[fd00::1]'],
    ['127.1', '127.0.0.1'],
  ] as const) {
    it(`of ${written} is ${form}`, () => {
      assert.equal(canonicalHost(written), form);
      assert.equal(canonicalHost(form), form);
    });
  }

  for (const wrong of [
    '',
    'https://ghcr.io',
    'ghcr.io/org',
    'a b',
    'user@ghcr.io',
    'a?b',
    'a:b',
    'x%41',
  ]) {
    it(`is none of '${wrong}'`, () => {
      assert.throws(() => canonicalHost(wrong), /wants HOST/);
    });
  }

  it('tells the names of Docker Hub', () => {
    assert.deepEqual(['docker.io', 'index.docker.io', 'ghcr.io'].map(isDockerHub), [
      true,
      true,
      false,
    ]);
  });
});
