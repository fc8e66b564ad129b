import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import { ManagedFieldsFilter, readLines } from '../../../bridge/kubernetes/json-stream.ts';
import { rejection } from '../../faults.ts';

/** What is left of a text that arrives in pieces of so many bytes. */
function filtered(text: string, pieceBytes = text.length): string {
  const bytes = Buffer.from(text);
  const filter = new ManagedFieldsFilter();
  const kept: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += Math.max(1, pieceBytes)) {
    kept.push(filter.push(bytes.subarray(at, at + Math.max(1, pieceBytes))));
  }
  return Buffer.concat([...kept, filter.end()]).toString();
}

describe('ManagedFieldsFilter', () => {
  it('empties every list, nested arrays, strings with brackets and all', () => {
    const object = {
      metadata: {
        name: 'ü',
        managedFields: [{ a: [1, [2]], s: '"]}\\', 'k:{"type":"Ready"}': { '.': {} } }],
      },
      items: [{ metadata: { managedFields: [] } }, { metadata: { managedFields: ['x'] } }],
    };
    const expected = {
      metadata: { name: 'ü', managedFields: [] },
      items: [{ metadata: { managedFields: [] } }, { metadata: { managedFields: [] } }],
    };
    const text = JSON.stringify(object);
    for (let pieceBytes = 1; pieceBytes <= text.length; pieceBytes += 1) {
      assert.equal(filtered(text, pieceBytes), JSON.stringify(expected));
    }
  });

  it('leaves a string alone that looks like the key', () => {
    const text = JSON.stringify({ annotation: '{"managedFields":[{"a":1}]}', tail: '"managedF' });
    for (const pieceBytes of [1, 3, 7, text.length]) assert.equal(filtered(text, pieceBytes), text);
  });

  it('holds nothing back that is complete', () => {
    const filter = new ManagedFieldsFilter();
    const line = '{"type":"ADDED","object":{"metadata":{"managedFields":[{}]}}}\n';
    assert.equal(
      filter.push(Buffer.from(line)).toString(),
      '{"type":"ADDED","object":{"metadata":{"managedFields":[]}}}\n',
    );
  });

  it('changes nothing else, whatever the JSON and its pieces', () => {
    const value = fc.jsonValue();
    const property = fc.property(value, value, fc.integer({ min: 1, max: 40 }), (a, b, pieces) => {
      const text = JSON.stringify({ a, managedFields: [b], c: [a] });
      assert.equal(filtered(text, pieces), JSON.stringify({ a, managedFields: [], c: [a] }));
    });
    fc.assert(property, { examples: [[{ managedFields: 1 }, ']', 1]] });
  });
});

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

  it('refuses a line of more than 16 MiB', async () => {
    const most = Array.from({ length: 16 }, () => Buffer.alloc(1024 * 1024, 0x61));
    const [line = ''] = await linesOf([...most, '\n']);
    assert.equal(line.length, 16 * 1024 * 1024);
    await rejection(linesOf([...most, 'a']), 'RESPONSE_TOO_LARGE');
  });
});
