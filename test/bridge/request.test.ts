import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { isScanned } from '../../bridge/evaluation.ts';
import { readImageRepository } from '../../bridge/flux/image-repository.ts';
import { requestOf, stateOf, type ScannedRepository } from '../../bridge/request.ts';
import { imageRepository, type Wanted } from './objects.ts';

function scanned(wanted: Wanted = {}): ScannedRepository {
  const object = readImageRepository(imageRepository('app', { revision: '1', ...wanted }));
  assert.ok(isScanned(object));
  return object;
}

describe('requestOf', () => {
  it('carries what the status says, and only what is there', () => {
    assert.deepEqual(requestOf(scanned(), { enabled: true }, { reason: 'changed' }), {
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
      scanned({ provider: 'gcp', insecure: true }),
      { enabled: true, destination: 'team/app', selection: { latest: 3 } },
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

describe('stateOf', () => {
  const plain = { enabled: true };
  const state = stateOf(requestOf(scanned(), plain, { reason: 'changed' }));

  it('is the same whatever the reason, the scan time and the tag count', () => {
    const later = scanned({ scanTime: '2026-08-11T09:00:02Z', tagCount: 13 });
    const occasion = { reason: 'resync', previousRevision: '1' } as const;
    assert.deepEqual(stateOf(requestOf(later, plain, occasion)), state);
  });

  it('differs by exclusion list, selection, destination, platforms, provider and plain HTTP', () => {
    const others = [
      requestOf(scanned({ exclusionList: ['^dev'] }), plain, { reason: 'changed' }),
      requestOf(scanned(), { enabled: true, selection: { latest: 1 } }, { reason: 'changed' }),
      requestOf(scanned(), { enabled: true, destination: 'x' }, { reason: 'changed' }),
      requestOf(scanned(), { enabled: true, platforms: ['all'] }, { reason: 'changed' }),
      requestOf(scanned({ provider: 'gcp' }), plain, { reason: 'changed' }),
      requestOf(scanned({ insecure: true }), plain, { reason: 'changed' }),
    ].map((request) => stateOf(request).configurationDigest);
    assert.equal(new Set([...others, state.configurationDigest]).size, 7);
  });
});
