import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { imageRepositories, leases, newEvents } from '../../stand-ins/kubernetes/resource.ts';
import { Refusal } from '../../stand-ins/kubernetes/refusal.ts';
import { requireNoNewFinalizers, validate } from '../../stand-ins/kubernetes/validation.ts';
import { refusal, stored } from './fixtures.ts';

function refusalOf(act: () => void): Refusal {
  try {
    act();
  } catch (error) {
    if (error instanceof Refusal) return error;
  }
  throw new Error('nothing was refused');
}

describe('validation', () => {
  it('lets pass what the schema allows', () => {
    validate({ resource: imageRepositories }, 'one', stored('one'), undefined);
  });

  it('names fields of a status from the status on', () => {
    const object = { ...stored('one'), status: { observedGeneration: 'x' } };
    const main = refusalOf(() => {
      validate({ resource: imageRepositories }, 'one', object, undefined);
    });
    const status = refusalOf(() => {
      validate({ resource: imageRepositories, subresource: 'status' }, 'one', object, undefined);
    });
    for (const { details } of [main, status]) {
      assert.equal(details?.causes?.[0]?.field, 'status.observedGeneration');
    }
    assert.notEqual(main.message, status.message);
  });

  it('cannot decode a wrong type of a built-in kind', () => {
    const lease = { ...stored('one'), spec: { leaseDurationSeconds: '15' } };
    assert.equal(
      refusalOf(() => {
        validate({ resource: leases }, 'one', lease, undefined);
      }).code,
      400,
    );
  });

  it('judges Events as the core group', () => {
    const { details, code } = refusalOf(() => {
      validate({ resource: newEvents }, 'one', stored('one'), undefined);
    });
    assert.deepEqual([code, details?.group], [422, undefined]);
  });

  it('lets what is being deleted lose finalizers, not gain them', () => {
    const old = stored('one', { finalizers: ['a/b'], deletionTimestamp: '2026-01-01T00:00:00Z' });
    requireNoNewFinalizers(imageRepositories, old, []);
    requireNoNewFinalizers(imageRepositories, stored('one'), ['a/b']);
    assert.throws(() => {
      requireNoNewFinalizers(imageRepositories, old, ['a/b', 'c/d']);
    }, refusal(422));
  });
});
