import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { applyMask } from '../../stand-ins/pubsub/field-mask.ts';

interface Policy {
  readonly minimumBackoff: number | null;
  readonly maximumBackoff: number | null;
}

interface Subject {
  readonly name: string;
  readonly ackDeadlineSeconds: number;
  readonly retryPolicy: Policy | null;
}

const current: Subject = {
  name: 'a',
  ackDeadlineSeconds: 10,
  retryPolicy: { minimumBackoff: 1, maximumBackoff: 2 },
};
const wanted: Subject = {
  name: 'b',
  ackDeadlineSeconds: 20,
  retryPolicy: { minimumBackoff: 5, maximumBackoff: null },
};
const mutable = ['ackDeadlineSeconds', 'retryPolicy'] as const;

describe('field mask', () => {
  const cases = [
    ['one field', ['ack_deadline_seconds'], { ...current, ackDeadlineSeconds: 20 }],
    ['a whole message', ['retry_policy'], { ...current, retryPolicy: wanted.retryPolicy }],
    [
      'a field of a message',
      ['retry_policy.minimum_backoff'],
      { ...current, retryPolicy: { minimumBackoff: 5, maximumBackoff: 2 } },
    ],
  ] as const;
  for (const [what, paths, expected] of cases) {
    it(`takes ${what} and leaves the rest`, () => {
      assert.deepEqual(applyMask(current, wanted, { paths }, mutable), expected);
    });
  }

  it('takes a field of a message that is not there yet', () => {
    const merged = applyMask(
      { ...current, retryPolicy: null },
      wanted,
      { paths: ['retry_policy.minimum_backoff'] },
      mutable,
    );
    assert.deepEqual(merged.retryPolicy, { minimumBackoff: 5 });
  });

  const refused = [
    ['no mask', null],
    ['an empty mask', { paths: [] }],
    ['a field that may not change', { paths: ['name'] }],
    ['an unknown field', { paths: ['nonsense'] }],
    ['a path of three parts', { paths: ['retry_policy.minimum_backoff.seconds'] }],
  ] as const;
  for (const [what, mask] of refused) {
    it(`refuses ${what}`, () => {
      assert.throws(() => applyMask(current, wanted, mask, mutable), {
        name: 'Refusal',
        status: 'INVALID_ARGUMENT',
      });
    });
  }
});
