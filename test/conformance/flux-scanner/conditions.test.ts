import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { find, set, without } from '../../stand-ins/flux-scanner/conditions.ts';
import type { Condition } from '../../stand-ins/flux-scanner/repository.ts';

const ready: Condition = {
  type: 'Ready',
  status: 'True',
  reason: 'Succeeded',
  message: 'found',
  lastTransitionTime: '2026-01-01T00:00:00Z',
  observedGeneration: 1,
};
const context = { persisted: [ready], generation: 2, now: '2026-01-01T00:01:00Z' };

describe('conditions', () => {
  it('keep the transition time while status, reason and message are equal', () => {
    const { type, status, reason, message } = ready;
    const again = set([], { type, status, reason, message }, context);
    assert.equal(find(again, 'Ready')?.lastTransitionTime, ready.lastTransitionTime);
    assert.equal(find(again, 'Ready')?.observedGeneration, 2);
  });

  for (const change of [{ status: 'False' }, { reason: 'Other' }, { message: 'other' }] as const) {
    it(`move it with the ${Object.keys(change).join()}`, () => {
      const { type, status, reason, message } = { ...ready, ...change };
      const moved = set([ready], { type, status, reason, message }, context);
      assert.equal(find(moved, 'Ready')?.lastTransitionTime, context.now);
    });
  }

  it('stand in the order Stalled, Reconciling, Ready, each once', () => {
    let conditions: readonly Condition[] = [ready];
    for (const type of ['Reconciling', 'Stalled', 'Ready', 'Reconciling']) {
      const condition = { type, status: 'True', reason: 'Some', message: '' } as const;
      conditions = set(conditions, condition, context);
    }
    assert.deepEqual(
      conditions.map(({ type }) => type),
      ['Stalled', 'Reconciling', 'Ready'],
    );
    assert.deepEqual(
      without(conditions, 'Stalled', 'Ready').map(({ type }) => type),
      ['Reconciling'],
    );
  });
});
