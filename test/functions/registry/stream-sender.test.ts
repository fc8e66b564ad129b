import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request as httpRequest, type ClientRequest } from 'node:http';
import { Readable } from 'node:stream';
import { describe, it, type TestContext } from 'node:test';

import type { IdleTimer } from '../../../functions/registry/idle-timer.ts';
import { streamSender, type StreamBody } from '../../../functions/registry/stream-sender.ts';
import { rejection } from '../../faults.ts';
import { serve } from './setting.ts';

interface Rig {
  readonly request: ClientRequest;
  readonly idle: IdleTimer & { readonly last: () => string };
  readonly received: () => number;
  readonly ended: () => boolean;
}

/** A request under way to a server that reads, or does not. */
async function rig(t: TestContext, sizeBytes: number, reads = true): Promise<Rig> {
  let received = 0;
  let ended = false;
  const server = await serve(t, (incoming, response) => {
    if (!reads) return;
    incoming.on('data', (chunk: Buffer) => (received += chunk.length));
    incoming.on('end', () => {
      ended = true;
      response.end();
    });
  });
  const request = httpRequest(server.url, {
    method: 'PUT',
    headers: { 'content-length': String(sizeBytes) },
  });
  request.on('error', () => undefined);
  t.after(() => request.destroy());
  let last = '';
  return {
    request,
    idle: {
      last: () => last,
      wait: () => (last = 'wait'),
      rest: () => (last = 'rest'),
      moved: () => undefined,
      restart: () => (last = 'wait'),
      stop: () => undefined,
    },
    received: () => received,
    ended: () => ended,
  };
}

function sendStream(request: ClientRequest, body: StreamBody, idle: IdleTimer): Promise<boolean> {
  return streamSender(request, body, idle).send();
}

function chunks(count: number, sizeBytes: number): Readable {
  return Readable.from(Array.from({ length: count }, () => Buffer.alloc(sizeBytes)));
}

describe('stream sender', () => {
  it('sends all bytes and then waits for the answer', async (t) => {
    const { request, idle, received, ended } = await rig(t, 1_000_000);
    let told = 0;
    const body = {
      stream: chunks(10, 100_000),
      sizeBytes: 1_000_000,
      onBytes: (n: number) => (told += n),
    };
    assert.equal(await sendStream(request, body, idle), true);
    assert.equal(idle.last(), 'wait');
    assert.equal(told, 1_000_000);
    const [response] = (await once(request, 'response')) as [Readable];
    response.resume();
    await once(response, 'end');
    assert.deepEqual([received(), ended()], [1_000_000, true]);
  });

  it('rests while it has nothing to give', async (t) => {
    const { request, idle } = await rig(t, 20);
    let state = '';
    async function* slow(): AsyncGenerator<Buffer> {
      yield Buffer.alloc(10);
      await new Promise((resolve) => setTimeout(resolve, 100));
      state = idle.last();
      yield Buffer.alloc(10);
    }
    await sendStream(request, { stream: Readable.from(slow()), sizeBytes: 20 }, idle);
    assert.equal(state, 'rest');
  });

  it('gives a deaf connection little ahead, and stops when it is over', async (t) => {
    const { request, idle } = await rig(t, 2 ** 40, false);
    let given = 0;
    async function* endless(): AsyncGenerator<Buffer> {
      for (;;) {
        given += 65_536;
        yield await Promise.resolve(Buffer.alloc(65_536));
      }
    }
    const stream = Readable.from(endless(), { objectMode: true, highWaterMark: 1 });
    const sender = streamSender(request, { stream, sizeBytes: 2 ** 40 }, idle);
    const sent = sender.send();
    let before = -1;
    while (before !== given) {
      before = given;
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
    assert.equal(idle.last(), 'wait');
    // What the kernel's buffers take is not ours to bound; what is above them is.
    assert.ok(given < 64 * 1024 * 1024, `${given}`);
    assert.equal(sender.gaveAll, false);
    sender.stop();
    assert.equal(await sent, false);
  });

  it('ends no body whose stream has too many or too few bytes', async (t) => {
    for (const count of [1, 3]) {
      const { request, idle, ended } = await rig(t, 20);
      const sent = sendStream(
        request,
        { stream: chunks(count, 10).filter(() => count !== 3), sizeBytes: 20 },
        idle,
      );
      await rejection(sent, 'SIZE_MISMATCH');
      assert.equal(ended(), false);
    }
    const { request, idle } = await rig(t, 25);
    await rejection(
      sendStream(request, { stream: chunks(3, 10), sizeBytes: 25 }, idle),
      'SIZE_MISMATCH',
    );
  });

  it('sends no bytes of an empty body', async (t) => {
    const { request, idle, received } = await rig(t, 0);
    assert.equal(await sendStream(request, { stream: chunks(0, 0), sizeBytes: 0 }, idle), true);
    assert.equal(received(), 0);
  });

  it('passes on what the stream throws', async (t) => {
    const { request, idle } = await rig(t, 20);
    const broken = new Readable({
      read() {
        this.destroy(new Error('broken'));
      },
    });
    await assert.rejects(sendStream(request, { stream: broken, sizeBytes: 20 }, idle), /broken/);
  });
});
