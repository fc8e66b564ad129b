import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { leaseViolations, requireMicroTime } from '../../stand-ins/kubernetes/lease.ts';
import { refusal } from './fixtures.ts';

describe('a Lease', () => {
  for (const [spec, expected] of [
    [{}, []],
    [{ leaseDurationSeconds: 1, leaseTransitions: 0, holderIdentity: '' }, []],
    [{ leaseDurationSeconds: 0 }, ['spec.leaseDurationSeconds']],
    [{ leaseTransitions: -1 }, ['spec.leaseTransitions']],
  ] as const) {
    it(`has wrong in ${JSON.stringify(spec)}: ${expected.join() || 'nothing'}`, () => {
      assert.deepEqual(
        leaseViolations({ spec }).map(({ field }) => field),
        expected,
      );
    });
  }

  it('has times of six digits', () => {
    requireMicroTime('2026-01-01T00:00:00.000000Z', 'Lease');
    requireMicroTime(undefined, 'Lease');
    for (const time of ['2026-01-01T00:00:00.000Z', '2026-01-01T00:00:00Z', 'now', 7]) {
      assert.throws(() => {
        requireMicroTime(time, 'Lease');
      }, refusal(400));
      assert.throws(() => leaseViolations({ spec: { renewTime: time } }), refusal(400));
    }
  });
});
