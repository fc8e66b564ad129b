import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  normalPlatforms,
  parsePlatform,
  readPlatforms,
} from '../../../functions/contract/platform.ts';
import { thrown } from '../../faults.ts';

describe('parsePlatform', () => {
  // The rows of containerd's platforms package, database.go.
  for (const [written, normal] of [
    ['linux/amd64', 'linux/amd64'],
    ['linux/amd64/v1', 'linux/amd64'],
    ['linux/amd64/v3', 'linux/amd64/v3'],
    ['linux/x86_64', 'linux/amd64'],
    ['linux/x86-64', 'linux/amd64'],
    ['Linux/AMD64', 'linux/amd64'],
    ['linux/i386', 'linux/386'],
    ['linux/arm64', 'linux/arm64'],
    ['linux/arm64/v8', 'linux/arm64'],
    ['linux/arm64/8', 'linux/arm64'],
    ['linux/arm64/v8.0', 'linux/arm64'],
    ['linux/arm64/v8.1', 'linux/arm64/v8.1'],
    ['linux/arm64/v9.0', 'linux/arm64/v9'],
    ['linux/aarch64', 'linux/arm64'],
    ['linux/arm', 'linux/arm/v7'],
    ['linux/arm/7', 'linux/arm/v7'],
    ['linux/arm/v6', 'linux/arm/v6'],
    ['linux/armhf', 'linux/arm/v7'],
    ['linux/armel', 'linux/arm/v6'],
    ['macos/arm64', 'darwin/arm64'],
    ['linux/ppc64le', 'linux/ppc64le'],
    ['windows/amd64', 'windows/amd64'],
    // Names that every object of the language has.
    ['linux/constructor', 'linux/constructor'],
    ['linux/__proto__', 'linux/__proto__'],
  ] as const) {
    it(`reads ${written} as ${normal}`, () => {
      assert.deepEqual(normalPlatforms([written]), [normal]);
    });
  }

  for (const text of [
    '',
    'linux',
    'linux/',
    '/amd64',
    'linux/arm/v7/x',
    'linux/a b',
    'linux//v7',
  ]) {
    it(`refuses '${text}'`, () => {
      assert.match(thrown(() => parsePlatform(text), 'EVENT_INVALID').message, /is no platform/);
    });
  }

  it('refuses what is longer than any platform', () => {
    assert.equal(parsePlatform(`linux/${'a'.repeat(58)}`).architecture.length, 58);
    thrown(() => parsePlatform(`linux/${'a'.repeat(59)}`), 'EVENT_INVALID');
  });
});

describe('normalPlatforms', () => {
  it('names each once, whatever the order and the spelling', () => {
    assert.deepEqual(normalPlatforms(['linux/arm64/v8', 'linux/amd64', 'linux/aarch64']), [
      'linux/amd64',
      'linux/arm64',
    ]);
  });

  it("takes 'all' alone only", () => {
    assert.deepEqual(normalPlatforms(['all', 'all']), ['all']);
    assert.throws(() => normalPlatforms(['all', 'linux/amd64']), { code: 'EVENT_INVALID' });
  });

  it('takes no more than a list of them', () => {
    const most = Array.from({ length: 50 }, () => 'linux/amd64');
    assert.deepEqual(normalPlatforms(most), ['linux/amd64']);
    thrown(() => normalPlatforms([...most, 'linux/amd64']), 'EVENT_INVALID');
  });
});

describe('readPlatforms', () => {
  for (const platforms of [
    [],
    ['linux'],
    ['linux/amd64', 7],
    'linux/amd64',
    ['all', 'linux/386'],
  ]) {
    it(`refuses ${JSON.stringify(platforms)} by the field`, () => {
      const read = (): unknown => readPlatforms({ platforms }, 'platforms', 'data');
      assert.match(thrown(read, 'EVENT_INVALID').field ?? '', /^data\.platforms/);
    });
  }
});
