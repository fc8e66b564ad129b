import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { describe, it } from 'node:test';

import { readLines } from '../../../bridge/kubernetes/lines.ts';
import { faultOfPromise } from '../faults.ts';

async function linesOf(chunks: readonly (string | Buffer)[]): Promise<string[]> {
  const lines: string[] = [];
  const buffers = chunks.map((chunk) => Buffer.from(chunk));
  for await (const line of readLines(Readable.from(buffers))) lines.push(line);
  return lines;
}

describe('readLines', () => {
  it('gives several lines of a chunk', async () => {
    assert.deepEqual(await linesOf(['a\nb\n\nc\n']), ['a', 'b', '', 'c']);
  });

  it('puts a line together that comes in pieces', async () => {
    assert.deepEqual(await linesOf(['a', 'b', 'c\nd', '\n']), ['abc', 'd']);
  });

  it('keeps a character together whose bytes come in two chunks', async () => {
    const bytes = Buffer.from('{"ü":1}\n');
    assert.deepEqual(await linesOf([bytes.subarray(0, 3), bytes.subarray(3)]), ['{"ü":1}']);
  });

  it('drops an unfinished last line', async () => {
    assert.deepEqual(await linesOf(['a\nb']), ['a']);
  });

  it('refuses a line without end', async () => {
    const chunk = Buffer.alloc(1024 * 1024, 0x61);
    await faultOfPromise('RESPONSE_TOO_LARGE', linesOf(Array.from({ length: 17 }, () => chunk)));
  });
});
