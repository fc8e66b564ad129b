import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { FUNCTION_METRICS } from '../../../functions/telemetry/metrics-catalogue.ts';

describe('metrics catalogue', () => {
  it('names each metric once, in the form that Cloud Monitoring takes', () => {
    const names = FUNCTION_METRICS.map(({ name }) => name);
    assert.equal(new Set(names).size, names.length);
    for (const name of names) assert.match(name, /^imagerepo_mirror\/[a-z_]+$/);
  });

  it('gives distributions a field, and counters none', () => {
    for (const { kind, field } of FUNCTION_METRICS) {
      assert.equal(kind === 'distribution', field !== undefined);
    }
  });

  it('has labels of bounded values only', () => {
    const bounded = ['outcome', 'code', 'decision', 'reason', 'host', 'class', 'side', 'cluster'];
    for (const { labels } of FUNCTION_METRICS) {
      for (const field of Object.values(labels)) assert.ok(bounded.includes(field), field);
    }
  });
});
