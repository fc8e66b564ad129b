import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  newestFirst,
  requirePatterns,
  selectTags,
  type Selection,
} from '../../../functions/contract/selection.ts';
import { Fault } from '../../../functions/fault.ts';

const tags = [
  '1.9.9',
  'latest',
  'v2.0.0',
  '1.10.0',
  '2.0.0-rc.1',
  'abc.sig',
  '1.10',
  'main-7',
  'main-12',
];

describe('selectTags', () => {
  for (const [name, exclusionList, selection, kept] of [
    ['keeps all where nothing is said', [], {}, tags],
    [
      'applies the exclusion list unanchored',
      ['main', 'sig$'],
      {},
      ['1.9.9', 'latest', 'v2.0.0', '1.10.0', '2.0.0-rc.1', '1.10'],
    ],
    [
      'keeps what any include pattern matches',
      [],
      { include: ['^main', '^latest$'] },
      ['latest', 'main-7', 'main-12'],
    ],
    ['keeps nothing with an empty include list', [], { include: [] }, []],
    [
      'drops what any exclude pattern matches',
      [],
      { include: ['^1'], exclude: [String.raw`^1\.9`] },
      ['1.10.0', '1.10'],
    ],
    ['knows inline flags of RE2', [], { include: ['(?i)^LATEST$'] }, ['latest']],
    [
      'keeps versions of a range, with or without v, no pre-releases',
      [],
      { semver: '>=1.10.0' },
      ['v2.0.0', '1.10.0'],
    ],
    [
      'takes pre-releases where the range names one',
      [],
      { semver: '>=2.0.0-rc.0' },
      ['v2.0.0', '2.0.0-rc.1'],
    ],
    ['knows alternatives of ranges', [], { semver: '1.9.x || 2.x' }, ['1.9.9', 'v2.0.0']],
    ['keeps the newest versions in the given order', [], { latest: 2 }, ['v2.0.0', '2.0.0-rc.1']],
    [
      'keeps the newest of what the rest leaves',
      ['^2', 'v'],
      { semver: '*', latest: 1 },
      ['1.10.0'],
    ],
    ['sorts by number', [], { include: ['^main'], latest: 1, sortBy: 'numerical' }, ['main-12']],
    ['sorts by name', [], { include: ['^main'], latest: 1, sortBy: 'alphabetical' }, ['main-7']],
  ] as readonly [string, string[], Selection, string[]][]) {
    it(name, () => {
      assert.deepEqual(selectTags(tags, exclusionList, selection), kept);
    });
  }

  for (const [field, exclusionList, selection] of [
    ['exclusionList[0]', ['(?<=x)'], {}],
    ['exclusionList[1]', ['a', String.raw`(a)\1`], {}],
    ['selection.include[0]', [], { include: ['*'] }],
    ['selection.exclude[0]', [], { exclude: ['['] }],
    ['selection.semver', [], { semver: 'one' }],
  ] as readonly [string, string[], Selection][]) {
    it(`refuses what RE2 or semver do not take in ${field}`, () => {
      assert.throws(
        () => selectTags(tags, exclusionList, selection),
        (error) =>
          error instanceof Fault && error.code === 'EVENT_INVALID' && error.field === field,
      );
    });
  }

  it('takes time in proportion to the text, whatever the pattern', () => {
    const evil = `${'a'.repeat(127)}!`;
    assert.deepEqual(selectTags([evil], ['^(a+)+$'], {}), [evil]);
  });
});

describe('requirePatterns', () => {
  for (const [guard, patterns, field] of [
    ['pattern-count', new Array<string>(26).fill('a'), 'MIRROR_INCLUDE'],
    ['pattern-length', ['a', 'x'.repeat(513)], 'MIRROR_INCLUDE[1]'],
  ] as const) {
    it(`guard ${guard}: refuses more, whoever wrote them`, () => {
      requirePatterns(new Array<string>(25).fill('x'.repeat(512)), 'MIRROR_INCLUDE');
      assert.throws(
        () => {
          requirePatterns(patterns, 'MIRROR_INCLUDE');
        },
        (error) =>
          error instanceof Fault && error.code === 'EVENT_INVALID' && error.field === field,
      );
    });
  }
});

describe('newestFirst', () => {
  it('stands versions before the rest, both descending', () => {
    assert.deepEqual(newestFirst(['a', '1.9.0', 'b', '1.10.0', '1.10.0-rc.1', 'v1.10.0']), [
      'v1.10.0',
      '1.10.0',
      '1.10.0-rc.1',
      '1.9.0',
      'b',
      'a',
    ]);
  });

  it('stands tags without a number last', () => {
    assert.deepEqual(newestFirst(['x', 'b2', 'b10', 'a10'], 'numerical'), [
      'b10',
      'a10',
      'b2',
      'x',
    ]);
  });
});
