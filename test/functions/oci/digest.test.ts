import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import {
  digestOf,
  hasDigest,
  hashFor,
  hashMatches,
  isDigest,
  parseDigest,
  requireDigest,
} from '../../../functions/oci/digest.ts';
import { thrown } from '../../faults.ts';

const EMPTY = 'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

describe('digest', () => {
  it('knows the digest of nothing', () => {
    assert.equal(digestOf(Buffer.alloc(0)), EMPTY);
    assert.ok(hasDigest(Buffer.alloc(0), EMPTY));
    assert.ok(!hasDigest(Buffer.from('x'), EMPTY));
  });

  it('verifies each algorithm in its own', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 300 }),
        fc.constantFrom('sha256' as const, 'sha512' as const),
        (bytes, algorithm) => {
          const digest = digestOf(bytes, algorithm);
          const { algorithm: parsed, hex } = parseDigest(digest);
          assert.equal(parsed, algorithm);
          assert.equal(hex.length, algorithm === 'sha256' ? 64 : 128);
          assert.ok(hasDigest(bytes, digest));
          assert.ok(hashMatches(hashFor(digest).update(bytes), digest));
          assert.ok(!hashMatches(hashFor(digest).update(bytes).update('more'), digest));
        },
      ),
    );
  });

  it('guard digest-grammar: refuses what is no digest, before it can become a path', () => {
    const wrong = [
      '',
      'sha256:',
      'sha256:../../v2/other/blobs/x',
      EMPTY.toUpperCase(),
      `${EMPTY} `,
      `${EMPTY}\n`,
      EMPTY.slice(0, -1),
      `${EMPTY}0`,
      EMPTY.replace('sha256', 'sha512'),
      EMPTY.replace('sha256', 'md5'),
    ];
    for (const text of wrong) {
      assert.ok(!isDigest(text), text);
      thrown(() => requireDigest(text), 'DIGEST_INVALID');
      thrown(() => hashFor(text), 'DIGEST_INVALID');
    }
  });
});
