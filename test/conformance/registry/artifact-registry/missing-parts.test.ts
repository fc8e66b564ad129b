import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { missingParts } from '../../../stand-ins/registry/artifact-registry/missing-parts.ts';

const A = `sha256:${'a'.repeat(64)}`;
const B = `sha256:${'b'.repeat(64)}`;

describe('missing parts', () => {
  const cases = [
    ['blobs', { children: [], blobs: [A, B], isBlob: () => false }, 'BLOB_UNKNOWN', [A, B]],
    ['children', { children: [A], blobs: [], isBlob: () => false }, 'MANIFEST_UNKNOWN', [A]],
    [
      'children that are blobs',
      { children: [A], blobs: [], isBlob: () => true },
      'MANIFEST_INVALID',
      [],
    ],
  ] as const;
  for (const [name, parts, code, digests] of cases) {
    it(`are ${name}`, () => {
      const entry = missingParts(parts).entries[0]!;
      assert.equal(entry.code, code);
      for (const digest of digests) assert.ok(entry.message.includes(digest));
    });
  }
});
