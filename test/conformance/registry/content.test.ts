import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  bytesOf,
  discardedContent,
  memoryContent,
  syntheticContent,
  type Content,
} from '../../stand-ins/registry/content.ts';

function read(content: Content, start: number, end: number): Buffer {
  return Buffer.concat([...content.read(start, end)]);
}

describe('memory content', () => {
  it('reads any range across its chunks', () => {
    const content = memoryContent(Buffer.from('abc'), Buffer.from(''), Buffer.from('defg'));
    assert.equal(content.sizeBytes, 7);
    for (let start = 0; start <= 7; start++) {
      for (let end = start; end <= 7; end++) {
        assert.equal(read(content, start, end).toString(), 'abcdefg'.slice(start, end));
      }
    }
  });

  it('comes in chunks that a socket takes', () => {
    const content = memoryContent(Buffer.alloc(200_000));
    assert.deepEqual(
      [...content.read(0, 200_000)].map(({ length }) => length),
      [65_536, 65_536, 65_536, 3_392],
    );
  });

  it('may be empty', () => {
    assert.equal(bytesOf(memoryContent()).length, 0);
  });
});

describe('synthetic content', () => {
  it('is the same for a seed, wherever reading begins', () => {
    const block = 262_144;
    const size = 3 * block + 100;
    const whole = bytesOf(syntheticContent('seed', size));
    assert.equal(whole.length, size);
    for (const [start, end] of [
      [0, 10],
      [20, 40],
      [block - 6, block + 6],
      [block, 2 * block],
      [block + 31, block + 32],
      [2 * block - 1, size],
      [size - 1, size + 5],
    ] as const) {
      assert.deepEqual(
        read(syntheticContent('seed', size), start, end),
        whole.subarray(start, end),
      );
    }
  });

  it('differs between seeds and between blocks', () => {
    const block = (seed: string, number: number): Buffer =>
      read(syntheticContent(seed, 1e9), number * 262_144, number * 262_144 + 64);
    assert.notDeepEqual(block('a', 0), block('b', 0));
    assert.notDeepEqual(block('a', 0), block('a', 1));
  });
});

describe('discarded content', () => {
  it('has a size and no bytes', () => {
    const content = discardedContent(5);
    assert.equal(content.sizeBytes, 5);
    assert.throws(() => content.read(0, 0));
  });
});
