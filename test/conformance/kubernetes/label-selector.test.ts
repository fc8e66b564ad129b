import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { parseLabelSelector } from '../../stand-ins/kubernetes/label-selector.ts';
import { refusal } from './fixtures.ts';

const labels = { app: 'web', tier: 'front', 'sharding.fluxcd.io/key': 'shard1', size: '10' };

describe('a label selector', () => {
  for (const [selector, expected] of [
    ['', true],
    ['app', true],
    ['!app', false],
    ['! other', true],
    ['app=web', true],
    ['app == web', true],
    ['app=', false],
    ['app!=web', false],
    ['other!=web', true],
    ['app in (web, api)', true],
    ['app in (api)', false],
    ['app notin (api,db)', true],
    ['app notin (web)', false],
    ['other notin (web)', true],
    ['size>9', true],
    ['size>10', false],
    ['size<11', true],
    ['app>1', false],
    ['other<1', false],
    ['app=web,tier in (front),!other', true],
    ['app=web,tier=back', false],
    ['sharding.fluxcd.io/key=shard1', true],
    ['!sharding.fluxcd.io/key', false],
  ] as const) {
    it(`${selector || '(empty)'} selects: ${expected}`, () => {
      assert.equal(parseLabelSelector(selector)(labels), expected);
    });
  }

  it('takes an object without labels for one that has none of them', () => {
    assert.equal(parseLabelSelector('!app')(undefined), true);
    assert.equal(parseLabelSelector('app')(undefined), false);
  });

  for (const wrong of [
    'a===b',
    'a in b',
    'a in (b',
    'a b',
    '-a',
    'a=-',
    'a>x',
    'a,',
    ',',
    'a=b c',
  ]) {
    it(`refuses ${wrong}`, () => {
      assert.throws(() => parseLabelSelector(wrong), refusal(400));
    });
  }
});
