import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { randomBytesOf, randomText } from '../../stand-ins/images/random.ts';

describe('random bytes', () => {
  it('depend on the seed alone and do not compress', () => {
    assert.deepEqual(randomBytesOf('a', 4096), randomBytesOf('a', 4096));
    assert.notDeepEqual(randomBytesOf('a', 4096), randomBytesOf('b', 4096));
    assert.ok(gzipSync(randomBytesOf('a', 4096)).length > 4000);
  });
});

describe('random text', () => {
  it('depends on the seed alone and compresses', () => {
    assert.equal(randomText('a', 4096).length, 4096);
    assert.equal(randomText('a', 4096), randomText('a', 4096));
    assert.notEqual(randomText('a', 4096), randomText('b', 4096));
    assert.ok(gzipSync(randomText('a', 4096)).length < 2500);
    assert.equal(randomText('a', 1), '\n');
  });
});
