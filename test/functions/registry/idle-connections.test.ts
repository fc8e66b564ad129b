import assert from 'node:assert/strict';
import { Agent } from 'node:http';
import { Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';

import { readBody } from '../../../functions/registry/body.ts';
import { idleConnections } from '../../../functions/registry/idle-connections.ts';
import type { TransportOptions } from '../../../functions/registry/transport.ts';
import { rejection } from '../../faults.ts';
import { localTransport, NEVER, tcp } from './setting.ts';

const MAX_IDLE_MS = 60_000;

const ANSWER = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';

/** Asks by one transport; the body. */
function opened(
  t: TestContext,
  options: Partial<TransportOptions>,
): (url: string) => Promise<string> {
  const transport = localTransport(t, options);
  return async (url) => {
    const request = { method: 'GET', url: new URL(url), headers: {}, budgetMs: 20_000 } as const;
    const response = await transport.send(request, NEVER);
    const body = await readBody(response, 100);
    // The connection is free again once its answer has been read.
    await new Promise(setImmediate);
    return body.toString();
  };
}

describe('idle connections', () => {
  it('are not used again after a minute, frozen or not', async (t) => {
    let nowMs = 0;
    const sockets: Socket[] = [];
    const url = await tcp(t, (socket) => {
      sockets.push(socket);
      socket.on('data', () => socket.write(ANSWER));
    });
    const ask = opened(t, { clock: () => nowMs });
    await ask(url);
    nowMs += MAX_IDLE_MS;
    await ask(url);
    assert.equal(sockets.length, 1);
    nowMs += MAX_IDLE_MS + 1;
    await ask(url);
    assert.equal(sockets.length, 2);
  });

  it('that have died are all dropped after one silence, and the request is sent anew', async (t) => {
    const silent = new Set<Socket>();
    const sockets: Socket[] = [];
    const asked: Socket[] = [];
    const url = await tcp(t, (socket) => {
      sockets.push(socket);
      socket.on('data', () => {
        asked.push(socket);
        if (!silent.has(socket)) socket.write(ANSWER);
      });
    });
    const ask = opened(t, { idleMs: 3000 });
    await Promise.all([ask(url), ask(url), ask(url)]);
    assert.equal(sockets.length, 3);
    // A thawed instance: its connections are there, and lead nowhere.
    for (const socket of sockets) silent.add(socket);
    asked.length = 0;
    assert.equal(await ask(url), 'ok');
    assert.equal(sockets.length, 4);
    assert.equal(asked.length, 2, 'one silent connection is asked, then a new one');
    assert.equal(await ask(url), 'ok');
    assert.equal(sockets.length, 4);
  });

  it('are dropped by host and port, the protocol’s own where the URL names none', () => {
    const agent = new Agent();
    const idle = idleConnections([agent], () => 0);
    for (const [url, port] of [
      ['https://r.example.com/', 443],
      ['http://r.example.com/', 80],
      ['https://r.example.com:5000/', 5000],
    ] as const) {
      const sockets = [80, 443, 444, 5000].map((of) => ({ of, socket: new Socket() }));
      for (const { of, socket } of sockets)
        Object.assign(agent.freeSockets, { [`r.example.com:${of}:`]: [socket] });
      idle.dropAllOf(new URL(url));
      const dropped = sockets.filter(({ socket }) => socket.destroyed).map(({ of }) => of);
      assert.deepEqual(dropped, [port], url);
    }
  });

  it('may answer late: a kept connection has as long as a new one', async (t) => {
    const sockets: Socket[] = [];
    let lateMs = 0;
    const url = await tcp(t, (socket) => {
      sockets.push(socket);
      socket.on('data', () => setTimeout(() => socket.write(ANSWER), lateMs));
    });
    const ask = opened(t, { idleMs: 30_000, connectMs: 3000 });
    for (lateMs of [3500, 3500]) assert.equal(await ask(url), 'ok');
    assert.equal(sockets.length, 1);
  });

  it('are not the reason where a new connection is silent too', async (t) => {
    let count = 0;
    const url = await tcp(t, () => (count += 1));
    await rejection(opened(t, { idleMs: 100 })(url), 'TIMEOUT');
    assert.equal(count, 1);
  });
});
