import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { REQUESTED_AT, type Repository } from '../../stand-ins/flux-scanner/repository.ts';
import { shouldScan } from '../../stand-ins/flux-scanner/should-scan.ts';
import { scanned } from './repositories.ts';

const now = Date.parse('2026-01-01T00:01:00Z');

function neverScanned(): Repository {
  const { status: _status, ...rest } = scanned({});
  return { ...rest, status: { observedGeneration: -1 } };
}

describe('shouldScan', () => {
  for (const [name, repository, expected] of [
    ['never scanned', neverScanned(), 'first scan'],
    [
      'asked for',
      scanned({ metadata: { annotations: { [REQUESTED_AT]: 'x' } } }),
      'reconcile requested',
    ],
    [
      'another image',
      scanned({ status: { canonicalImageName: 'ghcr.io/org/old' } }),
      'new image name',
    ],
    ['another list', scanned({ spec: { exclusionList: ['x'] } }), 'updated exclusion list'],
    ['interval over', scanned({ spec: { interval: '1m' } }), 'triggered by interval'],
    ['due within a second', scanned({ spec: { interval: '60.9s' } }), 'triggered by interval'],
  ] as const) {
    it(`scans: ${name}`, () => {
      assert.deepEqual(shouldScan(repository, 'ghcr.io/org/app', true, now), {
        scan: true,
        reason: expected,
      });
    });
  }

  it('scans when it remembers no tags', () => {
    const decision = shouldScan(scanned({}), 'ghcr.io/org/app', false, now);
    assert.deepEqual(decision, { scan: true, reason: 'no tags in database' });
  });

  it('says how long there is time', () => {
    const decision = shouldScan(scanned({}), 'ghcr.io/org/app', true, now);
    assert.deepEqual(decision, { scan: false, dueInMs: 240_000 });
  });

  it('takes an empty exclusion list for the default', () => {
    const repository = scanned({ spec: { exclusionList: [] } });
    assert.equal(shouldScan(repository, 'ghcr.io/org/app', true, now).scan, false);
  });
});
