import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import {
  compilePatterns,
  DEFAULT_EXCLUSION_LIST,
  DEFAULT_MUTABLE_TAGS,
  requirePatterns,
} from '../../../functions/contract/patterns.ts';
import { thrown } from '../../faults.ts';

/** Compiles to 1,763 instructions, within the limit. */
const COSTLY = '(a?){440}$';

/** The pattern that semver.org suggests for RE2. */
const SEMVER_ORG = String.raw`^(?P<major>0|[1-9]\d*)\.(?P<minor>0|[1-9]\d*)\.(?P<patch>0|[1-9]\d*)(?:-(?P<prerelease>(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?(?:\+(?P<buildmetadata>[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*))?$`;

describe('compilePatterns', () => {
  for (const pattern of [...DEFAULT_EXCLUSION_LIST, DEFAULT_MUTABLE_TAGS]) {
    it(`takes of tags what RE2 takes by the default ${pattern}`, () => {
      const near = fc.constantFrom(...'latest sig .sig dev v 1 . 0 main - _ Latest s'.split(' '));
      const tag = fc
        .array(fc.oneof(near, fc.stringMatching(/^[\w.-]$/)), { minLength: 1, maxLength: 8 })
        .map((parts) => parts.join(''));
      const known = compilePatterns([pattern], 'known');
      // Not written as the default is, and thus RE2's.
      const compiled = compilePatterns([`(?:${pattern})`], 'compiled');
      fc.assert(
        fc.property(tag, (text) => {
          assert.equal(known.test(text), compiled.test(text));
        }),
        { numRuns: 5000 },
      );
    });
  }
});

describe('requirePatterns', () => {
  const refused = (patterns: readonly string[], field: string): string => {
    const fault = thrown(() => {
      requirePatterns(patterns, 'MIRROR_INCLUDE');
    }, 'EVENT_INVALID');
    assert.equal(fault.field, field);
    return fault.message;
  };

  it('takes 25 patterns, long ones, and those of 70 instructions each', () => {
    requirePatterns(['x'.repeat(512)], 'MIRROR_INCLUDE');
    requirePatterns(new Array<string>(25).fill(SEMVER_ORG), 'MIRROR_INCLUDE');
  });

  it('guard pattern-count: refuses more, whoever wrote them', () => {
    refused(new Array<string>(26).fill('a'), 'MIRROR_INCLUDE');
  });

  it('guard pattern-length: refuses longer ones', () => {
    refused(['a', 'x'.repeat(513)], 'MIRROR_INCLUDE[1]');
  });

  it('guard pattern-cost: refuses repetitions that compile to too much, alone or together', () => {
    const alone = refused(['(.{0,30}.{0,30}){0,30}$'], 'MIRROR_INCLUDE[0]');
    const together = refused([COSTLY, 'a{150}', 'b{150}', 'c'], 'MIRROR_INCLUDE[2]');
    assert.deepEqual(
      [alone, together].map((message) => message.includes('with those before it')),
      [false, true],
    );
    // 500 instructions each, and one more.
    const most = new Array<string>(4).fill('x'.repeat(498));
    requirePatterns(most);
    refused([...most.slice(1), 'x'.repeat(499)], 'MIRROR_INCLUDE[3]');
  });
});
