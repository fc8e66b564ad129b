import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import * as refusals from '../../stand-ins/kubernetes/refusal.ts';

const leases = { group: 'coordination.k8s.io', plural: 'leases', kind: 'Lease' };
const events = { group: '', plural: 'events', kind: 'Event' };

describe('a refusal', () => {
  it('is the Status that Kubernetes sends', () => {
    assert.deepEqual(refusals.notFound(leases, 'x').status, {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message: 'leases.coordination.k8s.io "x" not found',
      reason: 'NotFound',
      details: { name: 'x', group: 'coordination.k8s.io', kind: 'leases' },
      code: 404,
    });
    assert.equal(refusals.notFound(events, 'x').message, 'events "x" not found');
  });

  for (const [refusal, code, reason] of [
    [refusals.alreadyExists(leases, 'x'), 409, 'AlreadyExists'],
    [refusals.conflict(leases, 'x'), 409, 'Conflict'],
    [refusals.invalid(leases, 'x', []), 422, 'Invalid'],
    [refusals.invalidOptions('FieldValueForbidden', 'no'), 422, 'Invalid'],
    [refusals.badRequest('no'), 400, 'BadRequest'],
    [refusals.unauthorized(), 401, 'Unauthorized'],
    [refusals.methodNotAllowed(), 405, 'MethodNotAllowed'],
    [refusals.unknownResource(), 404, 'NotFound'],
    [refusals.expired(1, 2), 410, 'Expired'],
    [refusals.listExpired(), 410, 'Expired'],
    [refusals.tooLargeResourceVersion(2, 1), 504, 'Timeout'],
    [refusals.unsupportedMediaType(['a/b']), 415, 'UnsupportedMediaType'],
  ] as const) {
    it(`has the code ${code} and the reason ${reason}: ${refusal.message}`, () => {
      assert.deepEqual([refusal.code, refusal.reason], [code, reason]);
      assert.equal(refusals.isExpired(refusal), code === 410);
    });
  }

  it('gives a token to go on with where a list has expired', () => {
    assert.deepEqual(refusals.continueExpired('next').status['metadata'], { continue: 'next' });
  });

  it('names every wrong field', () => {
    const cause = (field: string) => ({
      reason: 'FieldValueRequired',
      message: 'Required value',
      field,
    });
    const { details, message } = refusals.invalid(leases, 'x', [cause('a'), cause('b')]);
    assert.deepEqual(
      details?.causes?.map(({ field }) => field),
      ['a', 'b'],
    );
    assert.ok(message.endsWith('[a: Required value, b: Required value]'), message);
  });
});
