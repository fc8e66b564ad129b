import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { embeddedBytes, UNKNOWN_SIZE } from '../../../functions/oci/descriptor.ts';
import { digestOf } from '../../../functions/oci/digest.ts';

describe('descriptor', () => {
  it('gives embedded content only where size and digest are those of the descriptor', () => {
    const bytes = Buffer.from('{}');
    const empty = { mediaType: 'a/b', digest: digestOf(bytes), sizeBytes: 2, data: 'e30=' };
    assert.deepEqual(embeddedBytes(empty), bytes);
    assert.deepEqual(embeddedBytes({ ...empty, sizeBytes: UNKNOWN_SIZE }), bytes);
    assert.equal(embeddedBytes({ ...empty, sizeBytes: UNKNOWN_SIZE, data: 'eyB9' }), undefined);
    assert.equal(embeddedBytes({ ...empty, data: 'e30gCg==' }), undefined);
    assert.equal(embeddedBytes({ ...empty, sizeBytes: 3 }), undefined);
    assert.equal(embeddedBytes({ ...empty, data: 'eyB9' }), undefined);
    const { data: _data, ...bare } = empty;
    assert.equal(embeddedBytes(bare), undefined);
  });
});
