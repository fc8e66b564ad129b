import assert from 'node:assert/strict';
import { Agent, createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { RequestCounter } from '../../stand-ins/registry/counter.ts';
import { createListener } from '../../stand-ins/registry/listener.ts';
import { digestOf } from '../../stand-ins/registry/digest.ts';
import { syntheticContent } from '../../stand-ins/registry/content.ts';
import { ask, start } from './loopback.ts';

describe('listener', () => {
  it('turns an unexpected error into a 500 with its message', async (t) => {
    const counter = new RequestCounter(Date.now);
    const server = createServer(
      createListener({
        scheme: 'http',
        host: 'registry',
        counter,
        handler: () => Promise.reject(new Error('defect')),
      }),
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.after(() => server.close());
    const answer = await ask(
      `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      'GET',
      '/',
    );
    assert.deepEqual([answer.status, answer.codes], [500, ['UNKNOWN']]);
    assert.match(answer.body.toString(), /defect/);
  });

  it('names itself as the client does', async (t) => {
    const registry = await start(t);
    const headers = { host: 'registry.example:5000' };
    const begun = await ask(registry.url, 'POST', '/v2/a/blobs/uploads/', { headers, body: '' });
    assert.match(begun.headers.location ?? '', /^http:\/\/registry\.example:5000\/v2\/a\//);
  });

  it('sends a large blob without keeping it, and stops where the reader goes', async (t) => {
    const registry = await start(t);
    const content = syntheticContent('large', 512 * 1024 * 1024);
    registry.store.putBlob('a', content, digestOf('name only'));
    const seen = await new Promise<number>((resolve) => {
      const outgoing = request(
        `${registry.url}/v2/a/blobs/${digestOf('name only')}`,
        { agent: false },
        (message) => {
          message.once('data', (chunk: Buffer) => {
            message.destroy();
            resolve(chunk.length);
          });
        },
      );
      outgoing.end();
    });
    assert.ok(seen > 0);
    const record = registry.counter.records[0];
    while (record?.endedMs === undefined) await new Promise((resolve) => setTimeout(resolve, 10));
    assert.ok(record.bytesOut < content.sizeBytes / 2);
    assert.equal(registry.counter.openRequests, 0);
  });

  it('keeps connections alive', async (t) => {
    const registry = await start(t);
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    t.after(() => {
      agent.destroy();
    });
    const reused: boolean[] = [];
    for (let count = 0; count < 3; count++) {
      await new Promise<void>((resolve) => {
        const outgoing = request(`${registry.url}/v2/`, { agent }, (message) => {
          message.resume();
          message.on('end', resolve);
        });
        outgoing.end();
        outgoing.on('response', () => reused.push(outgoing.reusedSocket));
      });
    }
    assert.deepEqual(reused, [false, true, true]);
  });
});
