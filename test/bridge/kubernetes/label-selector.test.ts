import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { requireLabelSelector } from '../../../bridge/kubernetes/label-selector.ts';

const good = [
  '',
  ' ',
  'a',
  '!a',
  '! a',
  'a=b',
  'a==b',
  'a!=b',
  'a=',
  'a = b',
  'sharding.fluxcd.io/key=shard1',
  '!sharding.fluxcd.io/key',
  'tier in (dev, test)',
  'tier notin (dev,test),app=x',
  'tier in (dev,),a',
  'size>10,size<20',
  `a=${'b'.repeat(63)}`,
];
const bad = [
  'a=b=c',
  ',',
  'a,',
  'a in dev',
  'a in (dev',
  'a within (dev)',
  '-a',
  'a=-b',
  '/a',
  'A.B/c=d',
  'a>b',
  'a b',
  'a=$(x)',
  `a=${'b'.repeat(64)}`,
];

describe('requireLabelSelector', () => {
  for (const selector of good) {
    it(`takes '${selector}'`, () => {
      requireLabelSelector(selector);
    });
  }
  for (const selector of bad) {
    it(`refuses '${selector}'`, () => {
      assert.throws(() => {
        requireLabelSelector(selector);
      }, Error);
    });
  }
});
