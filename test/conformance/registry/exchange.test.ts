import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { bytesOf } from '../../stand-ins/registry/content.ts';
import {
  emptyAnswer,
  jsonAnswer,
  readBody,
  refusalAnswer,
  type RegistryRequest,
} from '../../stand-ins/registry/exchange.ts';
import { RegistryRefusal } from '../../stand-ins/registry/refusal.ts';

function requestWith(...chunks: readonly string[]): RegistryRequest {
  async function* body(): AsyncGenerator<Buffer> {
    await Promise.resolve();
    for (const chunk of chunks) yield Buffer.from(chunk);
  }
  return {
    method: 'PUT',
    path: '/',
    rawQuery: '',
    query: new URLSearchParams(),
    headers: {},
    origin: '',
    body: body(),
  };
}

describe('exchange', () => {
  it('tells the length of an empty answer, except of 204', () => {
    assert.equal(emptyAnswer(202).headers['content-length'], '0');
    assert.equal(emptyAnswer(204).headers['content-length'], undefined);
  });

  it('answers a refusal as an error document', () => {
    const answer = refusalAnswer(
      new RegistryRefusal(401, 'UNAUTHORIZED', 'who?', { headers: { a: 'b' } }),
    );
    assert.equal(answer.status, 401);
    assert.equal(answer.headers['a'], 'b');
    assert.deepEqual(JSON.parse(bytesOf(answer.body!).toString()), {
      errors: [{ code: 'UNAUTHORIZED', message: 'who?' }],
    });
    assert.equal(jsonAnswer(200, []).headers['content-length'], '3');
  });

  it('reads a body up to its limit', async () => {
    assert.equal((await readBody(requestWith('ab', 'c'), 3)).toString(), 'abc');
    await assert.rejects(readBody(requestWith('ab', 'cd'), 3), RegistryRefusal);
  });
});
