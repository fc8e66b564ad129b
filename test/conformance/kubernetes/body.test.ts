import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { describe, it } from 'node:test';

import { readBody, requireObject } from '../../stand-ins/kubernetes/body.ts';
import { refusal } from './fixtures.ts';

function read(...chunks: readonly (string | Buffer)[]): Promise<unknown> {
  const request = Readable.from(chunks.map((chunk) => Buffer.from(chunk)));
  return readBody(request as unknown as IncomingMessage);
}

describe('a request body', () => {
  it('is JSON or nothing', async () => {
    assert.deepEqual(await read('{"a":', '1}'), { a: 1 });
    assert.equal(await read(), undefined);
    await assert.rejects(read('{"a"'), refusal(400));
  });

  it('has at most 3 MiB', async () => {
    const half = Buffer.alloc(1.5 * 1024 * 1024, ' ');
    assert.deepEqual(await read(half, half.subarray(2), '{}'), {});
    await assert.rejects(read(half, half, '{}'), refusal(413));
  });

  it('is an object where one is needed', () => {
    assert.deepEqual(requireObject({ a: 1 }), { a: 1 });
    for (const other of [undefined, null, [], 'x']) {
      assert.throws(() => requireObject(other), refusal(400));
    }
  });
});
