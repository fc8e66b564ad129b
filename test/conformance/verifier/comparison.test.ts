import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { compareReports } from '../../stand-ins/verifier/comparison.ts';
import type { RepositoryReport } from '../../stand-ins/verifier/verifier.ts';

function reportOf(digests: Readonly<Record<string, string>>): RepositoryReport {
  return {
    repository: 'a',
    tags: Object.entries(digests).map(([tag, digest]) => ({
      tag,
      digest,
      children: 0,
      blobs: 0,
      bytes: 0,
      problems: [],
    })),
    blobs: 0,
    bytes: 0,
    problems: [],
  };
}

describe('comparison', () => {
  it('tells missing, different and additional tags', () => {
    const source = reportOf({ same: '1', moved: '2', missing: '3', excluded: '4' });
    const destination = reportOf({ same: '1', moved: '9', old: '5' });
    assert.deepEqual(
      compareReports(source, destination, (tag) => tag !== 'excluded'),
      { missing: ['missing'], different: ['moved'], additional: ['old'] },
    );
    assert.deepEqual(compareReports(source, destination).missing, ['missing', 'excluded']);
    assert.deepEqual(compareReports(source, source), {
      missing: [],
      different: [],
      additional: [],
    });
  });
});
