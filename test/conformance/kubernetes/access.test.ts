import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  everything,
  forbidden,
  isAllowed,
  Users,
  type Rule,
} from '../../stand-ins/kubernetes/access.ts';
import { imageRepositories, leases } from '../../stand-ins/kubernetes/resource.ts';
import { refusal } from './fixtures.ts';

const reader: Rule = {
  apiGroups: ['image.toolkit.fluxcd.io'],
  resources: ['imagerepositories'],
  verbs: ['get', 'list', 'watch'],
};
const list = { verb: 'list', resource: imageRepositories };

function allows(rules: readonly Rule[], attempt: Parameters<typeof isAllowed>[1]): boolean {
  return isAllowed({ name: 'u', groups: [], rules }, attempt);
}

describe('authentication', () => {
  it('knows users by their token', () => {
    const users = new Users();
    const token = users.add({ name: 'u', groups: [], rules: [] });
    assert.equal(users.authenticate(`Bearer ${token}`, 0).name, 'u');
    assert.equal(users.authenticate(`bearer  ${token}`, 0).name, 'u');
    assert.equal(users.of(token)?.name, 'u');
    assert.equal(users.authenticate(undefined, 0).name, 'system:anonymous');
    users.revoke(token);
    for (const header of [`Bearer ${token}`, 'Bearer other', 'Basic eDp5', 'Bearer']) {
      assert.throws(() => users.authenticate(header, 0), refusal(401, 'Unauthorized'));
    }
  });

  it('takes a token until it expires', () => {
    const users = new Users();
    users.add({ name: 'u', groups: [], rules: [], expiresAtMs: 10 }, 'token');
    assert.equal(users.authenticate('Bearer token', 9).name, 'u');
    assert.throws(() => users.authenticate('Bearer token', 10), refusal(401));
  });
});

describe('authorization', () => {
  it('allows what a rule allows', () => {
    assert.equal(allows([reader], list), true);
    assert.equal(allows([reader], { ...list, namespace: 'any' }), true);
    assert.equal(allows([reader], { ...list, verb: 'create' }), false);
    assert.equal(allows([reader], { ...list, resource: leases }), false);
    assert.equal(allows([reader], { ...list, subresource: 'status' }), false);
    assert.equal(allows([], list), false);
    assert.equal(allows(everything, { ...list, subresource: 'status', namespace: 'x' }), true);
  });

  it('keeps a rule to its namespaces and names', () => {
    const local = { ...reader, namespaces: ['here'] };
    assert.equal(allows([local], { ...list, namespace: 'here' }), true);
    assert.equal(allows([local], { ...list, namespace: 'there' }), false);
    assert.equal(allows([local], list), false);
    const named = { ...reader, resourceNames: ['one'] };
    assert.equal(allows([named], { ...list, verb: 'get', name: 'one' }), true);
    assert.equal(allows([named], { ...list, verb: 'get', name: 'two' }), false);
    assert.equal(allows([named], list), false);
  });

  it('refuses in the words by which operators know it', () => {
    const user = { name: 'bridge', groups: [], rules: [] };
    const attempt = { verb: 'patch', resource: leases, namespace: 'x', name: 'leader' };
    const { code, message, details } = forbidden(user, attempt);
    assert.equal(code, 403);
    assert.equal(
      message,
      'leases.coordination.k8s.io "leader" is forbidden: User "bridge" cannot patch resource "leases" in API group "coordination.k8s.io" in the namespace "x"',
    );
    assert.deepEqual(details, { name: 'leader', group: 'coordination.k8s.io', kind: 'leases' });
  });
});
