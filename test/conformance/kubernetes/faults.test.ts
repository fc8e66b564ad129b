import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { faultRefusal, RequestFaults } from '../../stand-ins/kubernetes/faults.ts';

const list = { verb: 'list', resource: 'leases', user: 'u' };

describe('request faults', () => {
  it('meet as many requests as they are armed for', () => {
    const faults = new RequestFaults();
    faults.add({ answer: 500, times: 2 });
    assert.deepEqual(
      [1, 2, 3].map(() => faults.take(list)?.answer),
      [500, 500, undefined],
    );
    const lift = faults.add({ answer: 'hang', times: Infinity });
    assert.equal(faults.take(list)?.answer, 'hang');
    lift();
    assert.equal(faults.take(list), undefined);
    faults.add({});
    faults.clear();
    assert.equal(faults.take(list), undefined);
  });

  it('meet only the verbs, resource and user that they name', () => {
    const faults = new RequestFaults();
    faults.add({ verbs: ['watch', 'get'], resource: 'leases', user: 'u', answer: 503 });
    for (const other of [
      list,
      { ...list, verb: 'get', resource: 'events' },
      { ...list, verb: 'get', user: 'v' },
    ]) {
      assert.equal(faults.take(other), undefined);
    }
    assert.equal(faults.take({ ...list, verb: 'get' })?.answer, 503);
  });

  it('meet in the order in which they were armed', () => {
    const faults = new RequestFaults();
    faults.add({ answer: 500 });
    faults.add({ answer: 503 });
    assert.deepEqual([faults.take(list)?.answer, faults.take(list)?.answer], [500, 503]);
  });

  it('answer in the words of an API server', () => {
    const { code, reason, details } = faultRefusal({ answer: 429, retryAfterSeconds: 3 });
    assert.deepEqual([code, reason, details], [429, 'TooManyRequests', { retryAfterSeconds: 3 }]);
    assert.equal(faultRefusal({ answer: 418, message: 'tea' }).message, 'tea');
  });
});
