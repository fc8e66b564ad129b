import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { claimedPath, DestinationClaims, type Claim } from '../../bridge/destination-claims.ts';
import { faultOf } from './faults.ts';

function claim(uid: string, image: string, year: number): Claim {
  return { uid, image, createdAt: `${year}-01-01T00:00:00Z`, namespace: 'ns', name: uid };
}

describe('DestinationClaims', () => {
  it('lets objects with one image share a path', () => {
    const claims = new DestinationClaims();
    claims.claim(claim('a', 'ghcr.io/org/app', 2024), 'app');
    claims.claim(claim('b', 'ghcr.io/org/app', 2025), 'app');
    assert.equal(claims.holderAgainst('a'), undefined);
    assert.equal(claims.holderAgainst('b'), undefined);
  });

  it('keeps the newer object with another image from the path, in whatever order they come', () => {
    for (const order of [
      ['old', 'new'],
      ['new', 'old'],
    ]) {
      const claims = new DestinationClaims();
      for (const uid of order) {
        claims.claim(claim(uid, `ghcr.io/${uid}/app`, uid === 'old' ? 2024 : 2025), 'app');
      }
      assert.equal(claims.holderAgainst('old'), undefined);
      const against = claims.holderAgainst('new');
      assert.equal(against?.holder.uid, 'old');
      assert.equal(against.path, 'app');
    }
  });

  it('decides between objects of one second by their uid', () => {
    const claims = new DestinationClaims();
    claims.claim(claim('b', 'ghcr.io/b/app', 2024), 'app');
    claims.claim(claim('a', 'ghcr.io/a/app', 2024), 'app');
    assert.equal(claims.holderAgainst('a'), undefined);
    assert.equal(claims.holderAgainst('b')?.holder.uid, 'a');
  });

  it('lets a third object with the image of the oldest through', () => {
    const claims = new DestinationClaims();
    claims.claim(claim('a', 'ghcr.io/a/app', 2023), 'app');
    claims.claim(claim('b', 'ghcr.io/b/app', 2024), 'app');
    claims.claim(claim('c', 'ghcr.io/a/app', 2025), 'app');
    assert.equal(claims.holderAgainst('c'), undefined);
    assert.equal(claims.holderAgainst('b')?.holder.uid, 'a');
  });

  it('names those whose standing may have changed', () => {
    const claims = new DestinationClaims();
    assert.deepEqual(claims.claim(claim('b', 'ghcr.io/b/app', 2024), 'app'), []);
    assert.deepEqual(claims.claim(claim('a', 'ghcr.io/a/app', 2023), 'app'), ['b']);
    assert.deepEqual(claims.claim(claim('b', 'ghcr.io/b/app', 2024), 'app'), []);
    assert.deepEqual(claims.claim(claim('a', 'ghcr.io/a/app', 2023), 'other'), ['b']);
    assert.equal(claims.holderAgainst('b'), undefined);
    assert.deepEqual(claims.claim(claim('a', 'ghcr.io/a/app', 2023), 'app'), ['b']);
    assert.deepEqual(claims.withdraw('a'), ['b']);
    assert.equal(claims.holderAgainst('b'), undefined);
    assert.deepEqual(claims.withdraw('a'), []);
  });

  it('concerns nobody while the holder’s image stays', () => {
    const claims = new DestinationClaims();
    for (let index = 0; index < 5; index += 1) {
      assert.deepEqual(claims.claim(claim(`a${index}`, 'ghcr.io/a/app', 2020 + index), 'app'), []);
    }
    assert.deepEqual(claims.claim(claim('b', 'ghcr.io/b/app', 2030), 'app'), []);
    assert.deepEqual(claims.withdraw('a0'), []);
    assert.equal(claims.holderAgainst('b')?.holder.uid, 'a1');
  });

  it('moves a claim whose image changes on its path', () => {
    const claims = new DestinationClaims();
    claims.claim(claim('a', 'ghcr.io/a/app', 2023), 'app');
    claims.claim(claim('b', 'ghcr.io/a/app', 2024), 'app');
    claims.claim(claim('b', 'ghcr.io/b/app', 2024), 'app');
    assert.equal(claims.holderAgainst('b')?.holder.uid, 'a');
  });

  it('withdraws at an undefined path', () => {
    const claims = new DestinationClaims();
    claims.claim(claim('a', 'ghcr.io/a/app', 2023), 'app');
    claims.claim(claim('b', 'ghcr.io/b/app', 2024), 'app');
    assert.deepEqual(claims.claim(claim('a', 'ghcr.io/a/app', 2023), undefined), ['b']);
    assert.equal(claims.holderAgainst('b'), undefined);
  });
});

describe('claimedPath', () => {
  it('is that of the layout, or the annotation', () => {
    assert.equal(claimedPath('ghcr.io/org/app', undefined, 'name'), 'app');
    assert.equal(claimedPath('ghcr.io/org/app', undefined, 'path'), 'org/app');
    assert.equal(claimedPath('ghcr.io/org/app', 'team/app', 'name'), 'team/app');
  });

  it('refuses what is no image name, with an annotation too', () => {
    faultOf('REFERENCE_INVALID', () => claimedPath('no image', 'team/app', 'name'));
  });
});
