import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { readAnnotations } from '../../bridge/annotations.ts';
import { faultOf } from './faults.ts';

describe('readAnnotations', () => {
  it('enables what says nothing', () => {
    assert.deepEqual(readAnnotations(undefined), { enabled: true });
    assert.deepEqual(readAnnotations({}), { enabled: true });
  });

  it('reads every annotation', () => {
    assert.deepEqual(
      readAnnotations({
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
        requestedAt: '2026-08-10T08:00:00Z',
      },
    );
  });

  it('disables at "false"', () => {
    assert.equal(readAnnotations({ enabled: 'false' }).enabled, false);
  });

  it('takes an empty requestedAt for none', () => {
    assert.deepEqual(readAnnotations({ requestedAt: '' }), { enabled: true });
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
      const fault = faultOf('ANNOTATION_INVALID', () => readAnnotations({ [name]: value }));
      assert.equal(fault.field, `imagerepo-mirror.io/${name}`);
    });
  }

  it('refuses more patterns than an exclusion list may have', () => {
    const include = Array.from({ length: 26 }, (_, index) => `^v${index}`).join('\n');
    const fault = faultOf('ANNOTATION_INVALID', () => readAnnotations({ include }));
    assert.equal(fault.field, 'imagerepo-mirror.io/include');
  });
});
