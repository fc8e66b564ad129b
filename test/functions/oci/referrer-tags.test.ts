import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { parseReferrerTag, referrersTag } from '../../../functions/oci/referrer-tags.ts';

const HEX = 'ab'.repeat(32);

describe('referrer tags', () => {
  const cases: readonly (readonly [string, string | undefined])[] = [
    [`sha256-${HEX}`, 'referrers'],
    [`sha256-${HEX}.sig`, 'signature'],
    [`sha256-${HEX}.att`, 'attestation'],
    [`sha256-${HEX}.sbom`, 'sbom'],
    [`sha256-${HEX}.txt`, undefined],
    [`sha256-${HEX.slice(1)}`, undefined],
    [`sha512-${HEX}`, undefined],
    ['v1.0', undefined],
    [`x-sha256-${HEX}.sig`, undefined],
  ];
  for (const [tag, kind] of cases) {
    it(`takes ${tag.slice(0, 14)}… as ${kind ?? 'an ordinary tag'}`, () => {
      const parsed = parseReferrerTag(tag);
      assert.equal(parsed?.kind, kind);
      if (parsed !== undefined) assert.equal(parsed.subject, `sha256:${HEX}`);
    });
  }

  it('names the referrers tag of a subject, which names it back', () => {
    const tag = referrersTag(`sha256:${HEX}`);
    assert.deepEqual(parseReferrerTag(tag), { subject: `sha256:${HEX}`, kind: 'referrers' });
  });

  it('cuts a sha512 digest to 64 digits, as the tag schema says', () => {
    assert.equal(referrersTag(`sha512:${'cd'.repeat(64)}`), `sha512-${'cd'.repeat(32)}`);
  });
});
