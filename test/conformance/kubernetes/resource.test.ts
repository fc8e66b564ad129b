import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  coreEvents,
  groupVersion,
  imageRepositories,
  namespaces,
  newEvents,
  resources,
} from '../../stand-ins/kubernetes/resource.ts';

describe('the resources', () => {
  it('are each told by group, version and plural', () => {
    const keys = resources.map((each) => `${groupVersion(each)}/${each.plural}`);
    assert.equal(new Set(keys).size, keys.length);
    assert.ok(keys.includes('v1/namespaces'));
    assert.ok(keys.includes('image.toolkit.fluxcd.io/v1/imagerepositories'));
  });

  it('keep Events once for both groups', () => {
    assert.equal(coreEvents.collection, newEvents.collection);
  });

  it('give only custom objects with a status a schema that is pruned', () => {
    assert.equal(imageRepositories.custom && imageRepositories.hasStatus, true);
    assert.deepEqual(
      resources.filter(({ custom }) => custom),
      [imageRepositories],
    );
  });

  it('say that a namespace is active', () => {
    const { spec, status } = namespaces.toStored({ metadata: { name: 'x' } });
    assert.deepEqual([spec, status], [{ finalizers: ['kubernetes'] }, { phase: 'Active' }]);
  });
});
