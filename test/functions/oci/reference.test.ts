import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import { isTag, requireReference, requireTag } from '../../../functions/oci/reference.ts';
import { thrown } from '../../faults.ts';

const DIGEST = `sha256:${'a'.repeat(64)}`;
const FIRST = 'abcXYZ019_';
const REST = `${FIRST}.-`;

describe('reference', () => {
  it('takes every tag of the grammar and a digest', () => {
    const tags = fc
      .tuple(
        fc.constantFrom(...FIRST.split('')),
        fc.string({ unit: fc.constantFrom(...REST.split('')), maxLength: 127 }),
      )
      .map(([first, rest]) => first + rest);
    fc.assert(
      fc.property(tags, (tag) => {
        assert.ok(isTag(tag));
        assert.equal(requireTag(tag), tag);
        assert.equal(requireReference(tag), tag);
      }),
    );
    assert.equal(requireReference(DIGEST), DIGEST);
  });

  it('takes from any text only what leaves a URL as it is', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        if (!isTag(text)) return;
        assert.equal(
          new URL(`http://r/v2/a/manifests/${text}`).pathname,
          `/v2/a/manifests/${text}`,
        );
      }),
      { examples: [['..'], ['.'], ['a/../b'], ['%2e%2e'], ['v1?x'], ['v1#x']] },
    );
  });

  it('guard tag-grammar: refuses what is no tag', () => {
    for (const text of [
      '',
      '.',
      '..',
      '-a',
      'a/b',
      'a b',
      'a?b',
      'a%2fb',
      'ä',
      'a'.repeat(129),
      'v1\n',
    ]) {
      thrown(() => requireTag(text), 'TAG_INVALID');
    }
  });

  it('guard reference-grammar: takes what has a colon as a digest or not at all', () => {
    for (const text of ['sha256:abc', 'sha256:../x', 'a:b', `${DIGEST}/..`]) {
      thrown(() => requireReference(text), 'DIGEST_INVALID');
    }
  });
});
