import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { latestTags, revisionOf, sortTags } from '../../stand-ins/flux-scanner/revision.ts';

const setA = [
  ...['6.0.4', '6.1.0', '6.1.1', '6.1.2', '6.1.3', '6.1.4', '6.1.5', '6.1.6', '6.1.7', '6.1.8'],
  ...['6.2.0', 'latest'],
];
const setB = [...setA, '6.2.1'];
const setC = setB.filter((tag) => tag !== '6.0.4');
const semverTrap = [
  ...Array.from({ length: 10 }, (_, index) => `1.9.${index}`),
  ...['1.10.0', '1.10.1', '2.0.0-rc.1'],
];

describe('the revision of a scan', () => {
  for (const [tags, expected] of [
    // Hashed in the order given, as Flux's own test vectors are.
    [['latest', 'v0.0.1', 'v0.0.2'], '1943865137'],
    [['latest', 'v0.0.1', 'v0.0.2', 'v0.0.3'], '3168012550'],
    [['v0.0.3', 'v0.0.4'], '728958008'],
  ] as const) {
    it(`is ${expected} for ${tags.join(', ')} in this order`, () => {
      assert.equal(revisionOf(tags, 'badger'), expected);
    });
  }

  for (const [name, tags, badger, files] of [
    ['A', setA, '3921220339', '881dfdd821a5e7459fb86b5c29209d8394315dc05ef2a53a93da3fffd45ea40a'],
    ['B', setB, '2241533016', '0b6a7a2b4ce23b14d7bdd1d361aead1d27cd14a261f44a57b2a00ad5b4a9e8a3'],
    ['C', setC, '3912372978', '6203c2b939b245efa0f5ca8580db4ed4cffde278b0b221b032b64c9070899757'],
    ['none', [], '18153657', 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'],
  ] as const) {
    it(`is the published one for the sorted tag set ${name}, in both storages`, () => {
      assert.equal(revisionOf(sortTags(tags), 'badger'), badger);
      assert.equal(revisionOf(sortTags(tags), 'files'), `sha256:${files}`);
    });
  }

  for (const [tags, expected] of [
    [['a', 'b', 'c', 'd'], '580584407'],
    [['1.0.0'], '160432618'],
    [semverTrap, '2766476434'],
    [['1.0.0', '1.0.4', '1.0.5'], '1020855469'],
    [['1.0.1', '1.0.2', '1.0.6'], '1020855469'],
  ] as const) {
    it(`is ${expected} for ${tags.length} tags from ${tags[0]}`, () => {
      assert.equal(revisionOf(sortTags(tags), 'badger'), expected);
    });
  }

  it('escapes what Go escapes in JSON', () => {
    assert.notEqual(revisionOf(['<&>'], 'badger'), revisionOf(['<>&'], 'badger'));
    // Adler-32 of ["\u003c"], as Go writes it.
    assert.equal(revisionOf(['<'], 'badger'), String(adlerOf('["\\u003c"]')));
  });

  it('takes the first ten of the descending order as latest tags', () => {
    assert.deepEqual(latestTags(sortTags(semverTrap)), [
      '2.0.0-rc.1',
      ...Array.from({ length: 9 }, (_, index) => `1.9.${9 - index}`),
    ]);
    assert.deepEqual(latestTags([]), []);
  });
});

function adlerOf(text: string): number {
  let a = 1;
  let b = 0;
  for (const byte of Buffer.from(text)) {
    a = (a + byte) % 65521;
    b = (b + a) % 65521;
  }
  return b * 65536 + a;
}
