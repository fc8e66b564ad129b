import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { readImageRepository } from '../../bridge/flux/image-repository.ts';
import {
  isSameState,
  publishableOf,
  requestOf,
  type Publishable,
  type PublishedState,
} from '../../bridge/request.ts';
import { imageRepository, type Wanted } from './objects.ts';

function publishable(wanted: Wanted = {}): Publishable {
  const object = readImageRepository(imageRepository('app', { revision: '1', ...wanted }));
  const found = publishableOf(object);
  assert.ok(found !== undefined);
  return found;
}

describe('requestOf', () => {
  it('carries what the status says, and only what is there', () => {
    assert.deepEqual(requestOf(publishable(), { reason: 'changed' }), {
      imageRepository: {
        namespace: 'flux-system',
        name: 'app',
        uid: 'uid-of-flux-system-app',
      },
      image: 'ghcr.io/org/app',
      revision: '1',
      tagCount: 12,
      scanTime: '2026-08-10T09:00:02Z',
      exclusionList: [String.raw`^.*\.sig$`],
      reason: 'changed',
      provider: 'generic',
    });
  });

  it('carries annotations, occasion and access', () => {
    const request = requestOf(
      publishable({
        provider: 'gcp',
        insecure: true,
        annotations: { destination: 'team/app', latest: '3' },
      }),
      { reason: 'requested', previousRevision: '0', tags: ['1.0.0'], verify: 'all' },
    );
    assert.equal(request.destination, 'team/app');
    assert.deepEqual(request.selection, { latest: 3 });
    assert.equal(request.previousRevision, '0');
    assert.deepEqual(request.tags, ['1.0.0']);
    assert.equal(request.verify, 'all');
    assert.equal(request.provider, 'gcp');
    assert.equal(request.insecure, true);
  });
});

describe('publishableOf', () => {
  const { state } = publishable();

  it('has a state that is the same whatever the scan time and the tag count', () => {
    const later = publishable({ scanTime: '2026-08-11T09:00:02Z', tagCount: 13 });
    assert.deepEqual(later.state, state);
    assert.equal(publishableOf(later.object, state)?.state, state);
    assert.equal(later.scan.tagCount, 13);
  });

  it('has a state that differs by exclusion list, selection, destination, platforms, provider and plain HTTP', () => {
    const others = [
      publishable({ exclusionList: ['^dev'] }),
      publishable({ annotations: { latest: '1' } }),
      publishable({ annotations: { destination: 'x' } }),
      publishable({ annotations: { platforms: 'all' } }),
      publishable({ provider: 'gcp' }),
      publishable({ insecure: true }),
    ].map(({ state: { configurationDigest } }) => configurationDigest);
    assert.equal(new Set([...others, state.configurationDigest]).size, 7);
  });

  it('is nothing where there is no scan, or the annotations are refused', () => {
    for (const wanted of [{ revision: '' }, { annotations: { include: '(' } }]) {
      const object = readImageRepository(imageRepository('app', { revision: '1', ...wanted }));
      assert.equal(publishableOf(object), undefined);
    }
  });
});

describe('isSameState', () => {
  it('compares image, revision and configuration', () => {
    const state: PublishedState = { image: 'a', revision: 'b', configurationDigest: 'c' };
    assert.ok(isSameState(state, { ...state }));
    assert.ok(!isSameState(state, { ...state, image: 'x' }));
    assert.ok(!isSameState(state, { ...state, revision: 'x' }));
    assert.ok(!isSameState(state, { ...state, configurationDigest: 'x' }));
  });
});
