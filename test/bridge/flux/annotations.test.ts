import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  readAnnotations,
  type Annotated,
  type ObjectSettings,
} from '../../../bridge/flux/annotations.ts';
import { isMirrorError, type MirrorError } from '../../../functions/errors.ts';

/** Reads annotations of ours, given without their prefix. */
function read(own: Readonly<Record<string, string>>): Annotated {
  return readAnnotations(
    Object.fromEntries(
      Object.entries(own).map(([name, value]) => [`imagerepo-mirror.io/${name}`, value]),
    ),
  );
}

function settingsOf(own: Readonly<Record<string, string>>): ObjectSettings {
  const { settings } = read(own);
  assert.ok(!isMirrorError(settings), JSON.stringify(own));
  return settings;
}

function faultOf(own: Readonly<Record<string, string>>): MirrorError {
  const { settings } = read(own);
  assert.ok(isMirrorError(settings, 'ANNOTATION_INVALID'), JSON.stringify(settings));
  return settings;
}

describe('readAnnotations', () => {
  it('enables what says nothing', () => {
    const nothing = { settings: { enabled: true }, requestedAt: undefined };
    assert.deepEqual(readAnnotations({}), nothing);
    assert.deepEqual(readAnnotations({ 'example.com/enabled': 'false', enabled: 'x' }), nothing);
    assert.deepEqual(readAnnotations({ 'imagerepo-mirror.io/latest': 7 }), nothing);
  });

  it('reads every annotation', () => {
    assert.deepEqual(
      read({
        enabled: 'true',
        destination: 'team/app',
        include: '^v1\\.\n ^v2\\.{1,2} \n',
        exclude: '-rc',
        semver: '>=1.2.0 <3',
        latest: '20',
        'sort-by': 'numerical',
        platforms: 'linux/arm64/v8, linux/amd64\n',
        requestedAt: '2026-08-10T08:00:00Z',
      }),
      {
        settings: {
          enabled: true,
          destination: 'team/app',
          selection: {
            include: ['^v1\\.', '^v2\\.{1,2}'],
            exclude: ['-rc'],
            semver: '>=1.2.0 <3',
            latest: 20,
            sortBy: 'numerical',
          },
          platforms: ['linux/amd64', 'linux/arm64'],
        },
        requestedAt: '2026-08-10T08:00:00Z',
      },
    );
  });

  it('disables at "false"', () => {
    assert.equal(settingsOf({ enabled: 'false' }).enabled, false);
  });

  it('takes an empty requestedAt for none', () => {
    assert.equal(read({ requestedAt: '' }).requestedAt, undefined);
  });

  const invalid: readonly (readonly [string, string, string])[] = [
    ['enabled', 'no', 'a switch that is neither true nor false'],
    ['enabled', '', 'an empty switch'],
    ['destination', 'Team/App', 'a path outside the grammar'],
    ['destination', '../app', 'a path that climbs'],
    ['destination', '', 'an empty path'],
    ['include', '(', 'a broken pattern'],
    ['include', '', 'no pattern at all'],
    ['include', '(?=a)', 'a look-ahead, which RE2 has not'],
    ['include', 'x'.repeat(513), 'a pattern that is too long'],
    ['exclude', '[', 'a broken pattern'],
    ['semver', 'latest', 'what is no range'],
    ['latest', '0', 'a count of zero'],
    ['latest', '-1', 'a negative count'],
    ['latest', '1.5', 'a broken number'],
    ['latest', 'twenty', 'a word for a number'],
    ['sort-by', 'newest', 'an unknown order'],
    ['platforms', 'amd64', 'a platform without its system'],
    ['platforms', 'all,linux/amd64', 'all beside a platform'],
    ['platforms', ' , ', 'no platform'],
    ['requestedAt', 'x'.repeat(257), 'a value that is too long'],
    ['incldue', '^v', 'a name that is none of ours'],
  ];
  for (const [name, value, what] of invalid) {
    it(`refuses ${what} in ${name}`, () => {
      const fault = faultOf({ [name]: value });
      assert.equal(fault.field, `imagerepo-mirror.io/${name}`);
    });
  }

  it('refuses more patterns than an exclusion list may have, and longer words', () => {
    const most = Array.from({ length: 25 }, (_, index) => `^v${index}`).join('\n');
    const requestedAt = 'x'.repeat(256);
    assert.equal(settingsOf({ include: most }).selection?.include?.length, 25);
    assert.equal(read({ requestedAt }).requestedAt, requestedAt);
    const include = `${most}\n^v`;
    const fault = faultOf({ include });
    assert.equal(fault.field, 'imagerepo-mirror.io/include');
  });

  it('tells requestedAt beside what is refused', () => {
    assert.equal(read({ requestedAt: 'now', include: '(' }).requestedAt, 'now');
  });
});
