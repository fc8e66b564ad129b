import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { rcompare } from 'semver';

import {
  newestFirst,
  requireRange,
  selectTags,
  type Selection,
} from '../../../functions/contract/selection.ts';
import { rejection, thrown } from '../../faults.ts';

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

/** Compiles to 1,763 instructions, within the limit. */
const COSTLY = '(a?){440}$';

/** Turns that other work has while 5,000 tags are selected. */
async function turnsDuring(exclusionList: readonly string[]): Promise<number> {
  const many = Array.from({ length: 5000 }, (_, n) => `v${n}`);
  let turns = 0;
  let over = false;
  const count = (): void => {
    turns += 1;
    if (!over) setImmediate(count);
  };
  setImmediate(count);
  await selectTags(many, exclusionList).finally(() => {
    over = true;
  });
  return turns;
}

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
    it(name, async () => {
      assert.deepEqual(await selectTags(tags, exclusionList, selection), kept);
    });
  }

  for (const [field, exclusionList, selection] of [
    ['exclusionList[0]', ['(?<=x)'], {}],
    ['exclusionList[1]', ['a', String.raw`(a)\1`], {}],
    ['selection.include[0]', [], { include: ['*'] }],
    ['selection.exclude[0]', [], { exclude: ['['] }],
    ['selection.semver', [], { semver: 'one' }],
  ] as readonly [string, string[], Selection][]) {
    it(`refuses what RE2 or semver do not take in ${field}`, async () => {
      const selected = selectTags(tags, exclusionList, selection);
      assert.equal((await rejection(selected, 'EVENT_INVALID')).field, field);
    });
  }

  it('takes time in proportion to the text, whatever the pattern', async () => {
    const evil = `${'a'.repeat(127)}!`;
    assert.deepEqual(await selectTags([evil], ['^(a+)+$'], {}), [evil]);
  });

  it('gives other work its turn, the more often the more a tag costs', async () => {
    assert.ok((await turnsDuring([COSTLY])) > 20 * (await turnsDuring(['^v'])));
    assert.ok((await turnsDuring([])) < 20);
  });

  it('ends when it is told to', async () => {
    const many = Array.from({ length: 1000 }, (_, n) => `v${n}`);
    await rejection(selectTags(many, [COSTLY], {}, AbortSignal.abort()), 'ABORTED');
  });
});

describe('requireRange', () => {
  it('takes a range of 512 characters, and refuses a longer one and what is none', () => {
    requireRange('1.x'.padEnd(512));
    for (const [text, why] of [
      ['1.x'.padEnd(513), /^SEMVER is longer than 512 characters/],
      ['newer', /^SEMVER is no semver range/],
    ] as const) {
      const refuse = (): void => {
        requireRange(text, 'SEMVER');
      };
      assert.match(thrown(refuse, 'EVENT_INVALID').message, why);
    }
  });
});

describe('newestFirst', () => {
  it('orders as semver does', () => {
    // Semantic Versioning 2.0.0, §11, with numbers beyond the first level.
    const ascending = [
      '1.0.0-0',
      '1.0.0-2.a',
      '1.0.0-11',
      '1.0.0-alpha',
      '1.0.0-alpha.1',
      '1.0.0-alpha.beta',
      '1.0.0-beta',
      '1.0.0-beta.2',
      '1.0.0-beta.11',
      '1.0.0-rc.1',
      '1.0.0',
      '1.0.1-rc',
      '1.2.0',
      '1.10.0',
      '2.0.0',
    ];
    assert.deepEqual([...newestFirst(ascending)].reverse(), ascending);
    assert.deepEqual(newestFirst(ascending), [...ascending].sort(rcompare));
  });

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
