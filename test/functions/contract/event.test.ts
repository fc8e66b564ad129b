import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  configurationDigest,
  eventOf,
  REVISION_CHANGED,
  strongerReason,
  TAGS_REQUESTED,
  type EventOccasion,
  type MirrorRequest,
} from '../../../functions/contract/event.ts';

const request: MirrorRequest = {
  imageRepository: { namespace: 'flux-system', name: 'podinfo', uid: '7d0cdc51' },
  image: 'ghcr.io/stefanprodan/podinfo',
  revision: '2241533016',
  previousRevision: '3921220339',
  tagCount: 13,
  scanTime: '2026-08-10T09:05:02Z',
  exclusionList: [String.raw`^.*\.sig$`],
  reason: 'changed',
};
const occasion: EventOccasion = {
  clusterName: 'prod-eu',
  time: new Date('2026-08-10T09:05:02.250Z'),
};

describe('eventOf', () => {
  it('names cluster, object and image in its attributes', () => {
    const event = eventOf(request, occasion);
    assert.equal(event.type, REVISION_CHANGED);
    assert.equal(event.source, '//prod-eu/namespaces/flux-system/imagerepositories/podinfo');
    assert.equal(event.subject, 'ghcr.io/stefanprodan/podinfo');
    assert.equal(event.time, '2026-08-10T09:05:02.250Z');
  });

  it('requests tags where the request names them', () => {
    assert.equal(eventOf({ ...request, tags: ['1.0.0'] }, occasion).type, TAGS_REQUESTED);
  });

  it('has the same id for the same occasion, whenever it is made', () => {
    const later = { ...occasion, time: new Date('2026-08-11T00:00:00Z') };
    assert.equal(eventOf(request, occasion).id, eventOf({ ...request }, later).id);
  });

  for (const [name, other, at] of [
    ['uid', { imageRepository: { ...request.imageRepository, uid: 'other' } }, {}],
    ['image', { image: 'ghcr.io/org/other' }, {}],
    ['revision', { revision: '1' }, {}],
    ['scan time', { scanTime: '2026-08-10T09:05:03Z' }, {}],
    ['reason', { reason: 'resync' }, {}],
    ['continuation', { continuation: 1 }, {}],
    ['configuration', { destination: 'team/app' }, {}],
    ['requestedAt', {}, { requestedAt: 'now' }],
    ['resync slot', {}, { resyncSlot: 7 }],
    ['batch', {}, { batchIndex: 2 }],
  ] as const) {
    it(`has another id for another ${name}`, () => {
      const changed = eventOf({ ...request, ...other }, { ...occasion, ...at });
      assert.notEqual(changed.id, eventOf(request, occasion).id);
    });
  }
});

describe('configurationDigest', () => {
  it('does not depend on the order of keys nor on defaults left out', () => {
    const one = { ...request, selection: { latest: 3, semver: '>=1' } };
    const two = { ...request, selection: { semver: '>=1', latest: 3 }, insecure: false };
    assert.equal(configurationDigest(one), configurationDigest(two));
  });

  it('moves with the exclusion list and the selection, not with the revision', () => {
    const digest = configurationDigest(request);
    assert.equal(configurationDigest({ ...request, revision: '1', tagCount: 1 }), digest);
    assert.notEqual(configurationDigest({ ...request, exclusionList: [] }), digest);
    assert.notEqual(configurationDigest({ ...request, selection: { latest: 1 } }), digest);
  });

  it('moves with the platforms, and is what it was where none are said', () => {
    const digest = configurationDigest(request);
    const amd64 = configurationDigest({ ...request, platforms: ['linux/amd64'] });
    const all = configurationDigest({ ...request, platforms: ['all'] });
    assert.equal(new Set([digest, amd64, all]).size, 3);
    // Of the version before there were platforms: a running job is recognized across an upgrade.
    assert.equal(digest, 'fd8d60dacf5e8e66082ccfe55301b8b9490ef67bfc7b207d415b03700634fd41');
  });
});

describe('strongerReason', () => {
  it('orders requested > resync > follow-up > changed > configured > initial', () => {
    const order = ['initial', 'configured', 'changed', 'follow-up', 'resync', 'requested'] as const;
    for (const [index, weaker] of order.entries()) {
      for (const stronger of order.slice(index)) {
        assert.equal(strongerReason(weaker, stronger), stronger);
        assert.equal(strongerReason(stronger, weaker), stronger);
      }
    }
  });
});
