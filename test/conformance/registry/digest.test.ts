import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { algorithmOf, digestOf, finishDigest, isDigest } from '../../stand-ins/registry/digest.ts';

/** SHA-256 of nothing (FIPS 180-4 examples). */
const EMPTY = 'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

describe('digest', () => {
  it('is computed over bytes, texts and chunks alike', () => {
    assert.equal(digestOf(''), EMPTY);
    assert.equal(digestOf(Buffer.from('abc')), digestOf([Buffer.from('a'), Buffer.from('bc')]));
    assert.match(digestOf('abc', 'sha512'), /^sha512:ddaf35a1/);
    assert.equal(finishDigest(createHash('sha256'), 'sha256'), EMPTY);
  });

  for (const [text, valid] of [
    [EMPTY, true],
    [`sha512:${'0'.repeat(128)}`, true],
    [EMPTY.toUpperCase(), false],
    [EMPTY.slice(0, -1), false],
    [`${EMPTY}/..`, false],
    [`md5:${'0'.repeat(32)}`, false],
    ['', false],
  ] as const) {
    it(`${valid ? 'knows' : 'refuses'} '${text.slice(0, 20)}' of ${text.length} characters`, () => {
      assert.equal(isDigest(text), valid);
    });
  }

  it('names its algorithm', () => {
    assert.equal(algorithmOf(EMPTY), 'sha256');
    assert.equal(algorithmOf(`sha512:${'0'.repeat(128)}`), 'sha512');
  });
});
