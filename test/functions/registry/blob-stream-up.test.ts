import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { describe, it, type TestContext } from 'node:test';

import type { IdleTimer } from '../../../functions/registry/idle-timer.ts';
import {
  bodyBatches,
  streamSender,
  type StreamBody,
} from '../../../functions/registry/blob-stream.ts';
import { until } from '../../until.ts';
import { localTransport, NEVER, serve } from './setting.ts';

interface Rig {
  readonly request: ClientRequest;
  readonly idle: IdleTimer & { readonly last: () => string; readonly movedBytes: () => number };
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
  let movedBytes = 0;
  return {
    request,
    idle: {
      last: () => last,
      wait: () => (last = 'wait'),
      rest: () => (last = 'rest'),
      moved: (count) => (movedBytes += count),
      movedBytes: () => movedBytes,
      restart: (longerMs) => (last = `wait ${longerMs} ms longer`),
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

/** Bytes that tell where they are from. */
function pattern(seed: number, sizeBytes: number): Buffer {
  return Buffer.alloc(sizeBytes, createHash('sha256').update(String(seed)).digest());
}

describe('a blob on its way', () => {
  it('arrives as it was, many at once through memory that is used again', async (t) => {
    const sizes = [1, 5_000, 524_287, 524_288, 524_289, 1_000_000, 3_000_000];
    const source = await serve(t, (incoming, response) => {
      const [, seed = 0, size = 0] = (incoming.url ?? '').split('/').map(Number);
      const bytes = pattern(seed, size);
      response.setHeader('content-length', size);
      Readable.from(
        (function* () {
          for (let at = 0; at < size; at += 16_000) yield bytes.subarray(at, at + 16_000);
        })(),
      ).pipe(response);
    });
    const arrived = new Map<string, string>();
    const destination = await serve(t, (incoming, response) => {
      const hash = createHash('sha256');
      incoming.on('data', (chunk: Buffer) => hash.update(chunk));
      incoming.on('end', () => {
        arrived.set(incoming.url ?? '', hash.digest('hex'));
        response.writeHead(201).end();
      });
    });
    const transport = localTransport(t);
    const copy = async (path: string, sizeBytes: number): Promise<void> => {
      const from = new URL(path, source.url);
      const down = await transport.send({ method: 'GET', url: from, headers: {} }, NEVER);
      const stream = Readable.from(down.chunks, { highWaterMark: 2 });
      const up = await transport.send(
        {
          method: 'PUT',
          url: new URL(path, destination.url),
          headers: { 'content-length': String(sizeBytes) },
          body: { stream, sizeBytes },
        },
        NEVER,
      );
      up.discard();
    };
    const wanted = new Map<string, string>();
    for (let round = 0; round < 3; round += 1) {
      await Promise.all(
        sizes.map(async (size, n) => {
          const seed = round * 100 + n;
          const digest = createHash('sha256').update(pattern(seed, size)).digest('hex');
          wanted.set(`/${seed}/${size}`, digest);
          await copy(`/${seed}/${size}`, size);
        }),
      );
    }
    assert.deepEqual([...arrived].sort(), [...wanted].sort());
  });
});

describe('batches', () => {
  it('take no more from the connection while one lies ready', async () => {
    const response = new Readable({ read: () => undefined });
    const answer = Object.assign(response, { headers: {} }) as unknown as IncomingMessage;
    const body = bodyBatches(answer, () => undefined);
    const first = body.next();
    response.push(Buffer.alloc(512 * 1024));
    assert.equal((await first).value?.length, 512 * 1024);
    assert.equal(response.isPaused(), true);
    const second = body.next();
    assert.equal(response.isPaused(), false);
    response.push(Buffer.alloc(5));
    assert.equal((await second).value?.length, 5);
    assert.equal(response.isPaused(), false);
    await body.return();
  });
});

describe('stream sender', () => {
  it('sends all bytes and then waits for the answer, longer for more of them', async (t) => {
    const { request, idle, received, ended } = await rig(t, 1_048_576);
    let told = 0;
    const body = {
      stream: chunks(8, 131_072),
      sizeBytes: 1_048_576,
      onBytes: (n: number) => (told += n),
    };
    let flows = 0;
    const sender = streamSender(request, body, idle, () => (flows += 1));
    assert.equal(await sender.send(), true);
    assert.equal(idle.last(), 'wait 100 ms longer');
    assert.deepEqual([told, idle.movedBytes(), flows], [1_048_576, 1_048_576, 1]);
    const [response] = (await once(request, 'response')) as [Readable];
    response.resume();
    await once(response, 'end');
    assert.deepEqual([received(), ended()], [1_048_576, true]);
  });

  it('rests while it has nothing to give', async (t) => {
    const { request, idle, received } = await rig(t, 20);
    idle.wait();
    let atFirst = '';
    async function* slow(): AsyncGenerator<Buffer> {
      atFirst = idle.last();
      yield Buffer.alloc(10);
      await until(() => received() === 10 && idle.last() === 'rest');
      yield Buffer.alloc(10);
    }
    const body = { stream: Readable.from(slow()), sizeBytes: 20 };
    assert.equal(await sendStream(request, body, idle), true);
    assert.equal(atFirst, 'rest');
  });

  it('waits for a deaf connection to take the last bytes too', async (t) => {
    const sizeBytes = 64 * 1024 * 1024;
    const { request, idle } = await rig(t, sizeBytes, false);
    const sender = streamSender(request, { stream: chunks(1, sizeBytes), sizeBytes }, idle);
    const sent = sender.send();
    await until(() => idle.last() === 'wait');
    assert.equal(sender.gaveAll, true);
    sender.stop();
    assert.equal(await sent, false);
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
});
