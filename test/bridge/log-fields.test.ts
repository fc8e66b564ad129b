import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { objectFields } from '../../bridge/log-fields.ts';

describe('objectFields', () => {
  it('has the keys by which flux logs finds the lines of an object', () => {
    assert.deepEqual(objectFields({ namespace: 'flux-system', name: 'podinfo' }), {
      controller: 'imagerepository',
      controllerGroup: 'image.toolkit.fluxcd.io',
      controllerKind: 'ImageRepository',
      ImageRepository: { name: 'podinfo', namespace: 'flux-system' },
      namespace: 'flux-system',
      name: 'podinfo',
    });
  });
});
