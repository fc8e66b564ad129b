import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { sendJson, sendRefusal, sendText } from '../../stand-ins/kubernetes/answer.ts';
import { listen } from '../../stand-ins/kubernetes/listener.ts';
import { Refusal } from '../../stand-ins/kubernetes/refusal.ts';

describe('an answer', () => {
  it('is a JSON document with its length, refusals with Retry-After', async () => {
    const listener = await listen(
      (request, response) => {
        if (request.url === '/text') sendText(response, 201, '{"é":1}');
        else if (request.url === '/json') sendJson(response, 200, { a: 1 });
        else
          sendRefusal(
            response,
            new Refusal(429, 'TooManyRequests', 'no', { retryAfterSeconds: 3 }),
          );
      },
      0,
      undefined,
    );
    try {
      const base = `http://127.0.0.1:${listener.port}`;
      const text = await fetch(`${base}/text`);
      assert.deepEqual([text.status, text.headers.get('content-length')], [201, '8']);
      assert.deepEqual(await text.json(), { é: 1 });
      const json = await fetch(`${base}/json`);
      assert.equal(json.headers.get('content-type'), 'application/json');
      assert.deepEqual(await json.json(), { a: 1 });
      const refused = await fetch(`${base}/refused`);
      assert.deepEqual([refused.status, refused.headers.get('retry-after')], [429, '3']);
      const { code, details } = (await refused.json()) as { code: number; details: object };
      assert.deepEqual([code, details], [429, { retryAfterSeconds: 3 }]);
    } finally {
      await listener.halt();
    }
  });
});
