import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { partTags } from '../../../functions/mirror/signature-tags.ts';

const HEX = 'a'.repeat(64);

describe('partTags', () => {
  it('parts signature tags from all others', () => {
    const tags = [
      'v1',
      `sha256-${HEX}.sig`,
      `sha256-${HEX}`,
      `sha256-${HEX}.att`,
      `sha256-${HEX}.sbom`,
    ];
    const more = [`sha256-${HEX}.sigs`, `sha256-${'a'.repeat(63)}`, 'v1.sig'];
    const { plain, signatures } = partTags([...tags, ...more]);
    assert.deepEqual(plain, ['v1', ...more]);
    assert.deepEqual([...signatures.keys()], [`sha256:${HEX}`]);
    assert.deepEqual(
      signatures.get(`sha256:${HEX}`)?.map(({ kind }) => kind),
      ['signature', 'referrers', 'attestation', 'sbom'],
    );
  });
});
