import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  isJsonObject,
  kubeTime,
  toJson,
  withResourceVersion,
} from '../../stand-ins/kubernetes/object.ts';
import { stored } from './fixtures.ts';

describe('a Kubernetes object', () => {
  it('is told from other JSON', () => {
    assert.equal(isJsonObject({}), true);
    for (const other of [null, [], 'x', 1, undefined]) assert.equal(isJsonObject(other), false);
  });

  it('has times in whole seconds', () => {
    assert.equal(kubeTime(Date.parse('2026-01-01T00:00:00.999Z')), '2026-01-01T00:00:00Z');
  });

  it('is serialised once', () => {
    const object = stored('a');
    assert.deepEqual(JSON.parse(toJson(object)), object);
    assert.equal(toJson(object), toJson(object));
  });

  it('is not changed when it is given another version', () => {
    const object = stored('a');
    assert.equal(withResourceVersion(object, 9).metadata.resourceVersion, '9');
    assert.equal(object.metadata.resourceVersion, '1');
  });
});
