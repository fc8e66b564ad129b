import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import { ARTIFACT_REGISTRY_RATE, tokenBucket } from '../../../functions/registry/token-bucket.ts';

describe('token bucket', () => {
  it('lets the burst pass at once and then the rate', () => {
    const bucket = tokenBucket({ perSecond: 50, burst: 500 });
    for (let taken = 0; taken < 500; taken++) assert.equal(bucket.take(1000), 0);
    assert.equal(bucket.take(1000), 20);
    assert.ok(bucket.take(1010) > 0);
    assert.equal(bucket.take(1025), 0);
    assert.ok(bucket.take(1025) > 0);
  });

  it('never lets more pass than burst + rate × time', () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 200 }), { minLength: 1, maxLength: 400 }), (gaps) => {
        const bucket = tokenBucket({ perSecond: 10, burst: 5 });
        let now = 0;
        let passed = 0;
        for (const gap of gaps) {
          now += gap;
          if (bucket.take(now) === 0) passed += 1;
          assert.ok(passed <= 5 + (now / 1000) * 10 + 1e-6);
        }
      }),
    );
  });

  it('gives no more for a clock that goes back', () => {
    const bucket = tokenBucket({ perSecond: 1, burst: 1 });
    assert.equal(bucket.take(10_000), 0);
    assert.ok(bucket.take(5_000) > 0);
  });

  it('stays below what Artifact Registry grants', () => {
    assert.deepEqual(ARTIFACT_REGISTRY_RATE, { perSecond: 50, burst: 500 });
  });
});
