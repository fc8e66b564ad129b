import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { reviewAccess } from '../../stand-ins/kubernetes/access-review.ts';
import { refusal } from './fixtures.ts';

const user = {
  name: 'u',
  groups: [],
  rules: [
    {
      apiGroups: ['coordination.k8s.io'],
      resources: ['leases'],
      verbs: ['get'],
      namespaces: ['a'],
    },
  ],
};

describe('a review of access', () => {
  for (const [attributes, allowed] of [
    [{ verb: 'get', group: 'coordination.k8s.io', resource: 'leases', namespace: 'a' }, true],
    [
      { verb: 'get', group: 'coordination.k8s.io', resource: 'leases', namespace: 'a', name: 'x' },
      true,
    ],
    [{ verb: 'get', group: 'coordination.k8s.io', resource: 'leases' }, false],
    [{ verb: 'list', group: 'coordination.k8s.io', resource: 'leases', namespace: 'a' }, false],
    [
      {
        verb: 'get',
        group: 'coordination.k8s.io',
        resource: 'leases',
        namespace: 'a',
        subresource: 's',
      },
      false,
    ],
    [{ verb: 'get', resource: 'leases', namespace: 'a' }, false],
  ] as const) {
    it(`says ${allowed} to ${JSON.stringify(attributes)}`, () => {
      const { status } = reviewAccess(user, { spec: { resourceAttributes: attributes } });
      assert.deepEqual(status, { allowed });
    });
  }

  it('is refused without attributes of a resource', () => {
    assert.throws(() => reviewAccess(user, { spec: {} }), refusal(400));
  });
});
