import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { describe, it, type TestContext } from 'node:test';

import { MirrorError } from '../../../functions/errors.ts';
import { digestOf } from '../../../functions/oci/digest.ts';
import { readBlob, type BlobReaderOptions } from '../../../functions/registry/blob-stream.ts';
import type { ExchangeReport } from '../../../functions/registry/exchange.ts';
import type { OpenAnswer } from '../../../functions/registry/failure.ts';
import type { Timing } from '../../../functions/concurrency.ts';
import type { SourceRepository } from '../../../functions/mirror/ports.ts';
import type { LocalRegistry } from '../../stand-ins/registry/registry.ts';
import { until } from '../../until.ts';
import {
  bytesOf,
  fakeTiming,
  NEVER,
  open,
  registry,
  rejection,
  serve,
  type Served,
  sourceAt,
  sourceOf,
} from './setting.ts';

const SIZE = 1_000_000;
const CONTENT = Buffer.alloc(SIZE, 'abcdefghij');
const DIGEST = digestOf(CONTENT);
const BLOB = { mediaType: 'x', digest: DIGEST, sizeBytes: SIZE };

const RESET = { kind: 'reset', at: 'response-body', afterBytes: 400_000 } as const;

async function setting(
  t: TestContext,
  switches: Partial<LocalRegistry['switches']> = {},
): Promise<{
  readonly at: LocalRegistry;
  readonly one: SourceRepository;
  readonly exchanges: readonly ExchangeReport[];
}> {
  const at = await registry(t, { switches });
  at.store.putBlob('org/app', CONTENT);
  const registries = open(t, [at.host, new URL(at.downloadUrl).host]);
  const one = sourceOf(registries, at.host);
  return { at, one, exchanges: registries.exchanges };
}

async function read(one: SourceRepository, blob = BLOB): Promise<Buffer> {
  return bytesOf(await one.openBlob(blob, 0, NEVER));
}

/** Reads until the end or a fault; gives what came. */
async function readSome(
  one: SourceRepository,
  blob = BLOB,
): Promise<{ readonly bytes: number; readonly fault: unknown }> {
  let bytes = 0;
  try {
    const stream = await one.openBlob(blob, 0, NEVER);
    for await (const chunk of stream as AsyncIterable<Buffer>) bytes += chunk.length;
    return { bytes, fault: undefined };
  } catch (fault) {
    return { bytes, fault };
  }
}

function codeOf(fault: unknown): string {
  return fault instanceof MirrorError ? fault.code : String(fault);
}

/** Breaks the first answer off, and then answers as it is told; `from`: the first byte of the Range. */
function cutThen(
  t: TestContext,
  later: (from: number | undefined, response: ServerResponse) => void,
): Promise<Served> {
  let gets = 0;
  return serve(t, ({ headers }, response) => {
    gets += 1;
    const from = /^bytes=(\d+)-/.exec(headers.range ?? '')?.[1];
    if (gets === 1) cut(response);
    else later(from === undefined ? undefined : Number(from), response);
  });
}

/** The first 300,000 bytes of the blob, and the end of the connection. */
function cut(response: ServerResponse): void {
  response.writeHead(200, { 'content-length': SIZE });
  response.write(CONTENT.subarray(0, 300_000), () => response.socket?.end());
}

describe('blob reader', () => {
  it('reads a blob in one exchange', async (t) => {
    const { at, one } = await setting(t);
    assert.ok((await read(one)).equals(CONTENT));
    assert.equal(at.counter.records.length, 1);
  });

  it('follows a redirect, to another host without what is presented here', async (t) => {
    for (const blobRedirect of ['same-host', 'other-host', 'signed-other-host'] as const) {
      const { at, one } = await setting(t, { blobRedirect });
      assert.ok((await read(one)).equals(CONTENT));
      assert.deepEqual([at.counter.total, at.counter.redirectHops], [1, 1]);
    }
  });

  it('verifies a sha512 digest in its own algorithm', async (t) => {
    const { at, one } = await setting(t);
    const digest = digestOf(CONTENT, 'sha512');
    at.store.putBlob('org/app', CONTENT, digest);
    assert.equal((await read(one, { ...BLOB, digest })).length, SIZE);
  });

  it('says that a blob is not there', async (t) => {
    const { one } = await setting(t);
    const other = { ...BLOB, digest: digestOf(Buffer.from('other')) };
    assert.equal(await one.openBlob(other, 0, NEVER), undefined);
  });

  it('resumes where the connection broke, up to three times', async (t) => {
    const { at, one } = await setting(t, { blobRedirect: 'other-host' });
    const effect = { kind: 'reset', at: 'response-body', afterBytes: 200_000 } as const;
    at.faults.add({ kind: 'download', times: 3, effect });
    assert.ok((await read(one)).equals(CONTENT));
    const ranges = at.counter.select({ kind: 'blob' }).map(({ headers }) => headers.range);
    assert.equal(ranges.length, 4);
    assert.equal(ranges[0], undefined);
    for (const range of ranges.slice(1)) assert.match(range ?? '', /^bytes=\d+-999999$/);
  });

  it('gives up the fourth time', async (t) => {
    const { at, one } = await setting(t);
    at.faults.add({ kind: 'blob', times: 4, effect: { kind: 'truncate', afterBytes: 100_000 } });
    const { fault, bytes } = await readSome(one);
    assert.equal(codeOf(fault), 'NETWORK');
    assert.ok(bytes < SIZE);
    assert.equal(at.counter.total, 4);
  });

  it('reads from the beginning where Range is ignored, and gives nothing twice', async (t) => {
    const { at, one } = await setting(t, { range: 'ignored' });
    at.faults.add({ kind: 'blob', times: 2, effect: RESET });
    assert.ok((await read(one)).equals(CONTENT));
    assert.equal(at.counter.total, 3);
  });

  for (const [what, rangeOf] of [
    ['without a range', () => undefined],
    ['in another unit', (from: number) => `items ${from}-${SIZE - 1}/${SIZE}`],
    ['of another whole', (from: number) => `bytes ${from}-${SIZE}/${SIZE + 1}`],
    ['that ends beyond it', (from: number) => `bytes ${from}-${SIZE}/*`],
    ['that begins later', (from: number) => `bytes ${from + 1}-${SIZE - 1}/${SIZE}`],
    ['that ends before', (from: number) => `bytes 0-${from - 1}/${SIZE}`],
  ] as const) {
    it(`guard content-range: reads all again at a part ${what}`, async (t) => {
      const server = await cutThen(t, (from, response) => {
        if (from === undefined) response.end(CONTENT);
        else {
          const range = rangeOf(from);
          response.writeHead(206, range === undefined ? {} : { 'content-range': range });
          response.end(CONTENT.subarray(from + 1));
        }
      });
      const registries = open(t, [server.host]);
      const one = sourceOf(registries, server.host);
      const { bytes, fault } = await readSome(one);
      assert.deepEqual([bytes, fault], [SIZE, undefined]);
      assert.deepEqual(
        server.seen.map(({ headers }) => headers.range !== undefined),
        [false, true, false],
      );
      assert.equal(registries.exchanges.length, 3);
    });
  }

  for (const status of [400, 416, 501]) {
    it(`reads all again where a Range is answered by ${status}`, async (t) => {
      const at = await cutThen(t, (from, response) => {
        if (from !== undefined) response.writeHead(status).end();
        else response.writeHead(200, { 'content-length': SIZE }).end(CONTENT);
      });
      const one = sourceAt(t, at.host);
      assert.ok((await read(one)).equals(CONTENT));
      assert.equal(at.seen.length, 3);
    });
  }

  for (const [what, isRefused] of [
    ['the rest of a blob', false],
    ['a blob that is read again', true],
  ] as const) {
    it(`takes the 404 to ${what} for no word about it`, async (t) => {
      const at = await cutThen(t, (from, response) => {
        const status = from !== undefined && isRefused ? 416 : 404;
        response.writeHead(status, { 'content-type': 'text/plain' }).end('default backend - 404');
      });
      const one = sourceAt(t, at.host);
      assert.equal(codeOf((await readSome(one)).fault), 'RESPONSE_INVALID');
    });
  }

  it('takes every legal part: of an unknown whole, less than was asked for, or from further ahead', async (t) => {
    for (const [name, partOf, whole] of [
      ['an unknown whole', (from: number) => [from, SIZE - 1], '*'],
      ['less', (from: number) => [from, Math.min(from + 65_535, SIZE - 1)], String(SIZE)],
      ['more', (from: number) => [from - 1000, SIZE - 1], String(SIZE)],
    ] as const) {
      const server = await cutThen(t, (from = 0, response) => {
        const [first = 0, last = 0] = partOf(from);
        const range = `Bytes ${first}-${last}/${whole}`;
        response.writeHead(206, { 'content-range': range }).end(CONTENT.subarray(first, last + 1));
      });
      const one = sourceAt(t, server.host);
      assert.ok((await read(one)).equals(CONTENT), name);
    }
  });

  it('gives up on a source that gives a byte a time', async (t) => {
    const server = await cutThen(t, (from = 0, response) => {
      if (server.seen.length > 20) cut(response);
      else {
        const range = `bytes ${from}-${from}/${SIZE}`;
        response.writeHead(206, { 'content-range': range }).end(CONTENT.subarray(from, from + 1));
      }
    });
    const one = sourceAt(t, server.host);
    assert.equal(codeOf((await readSome(one)).fault), 'NETWORK');
    assert.equal(server.seen.length, 4);
  });

  it('takes the 404 of a proxy for no word about a blob', async (t) => {
    const server = await serve(t, (_request, response) => {
      response.writeHead(404, { 'content-type': 'text/plain' }).end('default backend - 404');
    });
    const one = sourceAt(t, server.host);
    await rejection(one.openBlob(BLOB, 0, NEVER), 'RESPONSE_INVALID');
  });

  it('guard blob-digest: never gives the last bytes of a wrong blob', async (t) => {
    const { at, one } = await setting(t);
    at.faults.add({ kind: 'blob', effect: { kind: 'flip', atByte: 12_345 } });
    const { fault, bytes } = await readSome(one);
    assert.equal(codeOf(fault), 'DIGEST_MISMATCH');
    assert.ok(bytes < SIZE, `${bytes}`);
    assert.equal(at.counter.total, 1);
    // Nothing was resumed: it may be, the next time.
    at.faults.add({ kind: 'blob', effect: RESET });
    assert.ok((await read(one)).equals(CONTENT));
  });

  it('withholds the only chunk of a small blob too', async (t) => {
    const { at, one } = await setting(t);
    const digest = at.store.putBlob('org/app', Buffer.from('small'));
    at.faults.add({ kind: 'blob', effect: { kind: 'flip', atByte: 0 } });
    const { fault, bytes } = await readSome(one, { ...BLOB, digest, sizeBytes: 5 });
    assert.deepEqual([codeOf(fault), bytes], ['DIGEST_MISMATCH', 0]);
  });

  it('does not resume a blob again whose pieces came to wrong bytes', async (t) => {
    const { at, one } = await setting(t);
    at.faults.add({ kind: 'blob', effect: RESET });
    at.faults.add({ kind: 'blob', effect: { kind: 'flip', atByte: 5 } });
    assert.equal(codeOf((await readSome(one)).fault), 'DIGEST_MISMATCH');
    at.counter.reset();
    at.faults.clear();
    at.faults.add({ kind: 'blob', effect: RESET });
    assert.equal(codeOf((await readSome(one)).fault), 'NETWORK');
    assert.equal(at.counter.total, 1);
    assert.ok((await read(one)).equals(CONTENT));
  });

  it('guard blob-content-length: takes no answer of another size', async (t) => {
    const { at, one, exchanges } = await setting(t);
    at.faults.add({ kind: 'blob', effect: { kind: 'pad', bytes: 1 } });
    await rejection(one.openBlob(BLOB, 0, NEVER), 'SIZE_MISMATCH');
    assert.deepEqual([exchanges.length, exchanges[0]?.receivedBytes], [1, 0]);
  });

  it('guard blob-partial: takes no part for the whole', async (t) => {
    const server = await serve(t, (_request, response) => {
      const range = `bytes 0-${SIZE - 1}/${SIZE}`;
      response.writeHead(206, { 'content-range': range, 'content-length': String(SIZE) });
      response.end(CONTENT);
    });
    const one = sourceAt(t, server.host);
    await rejection(one.openBlob(BLOB, 0, NEVER), 'RESPONSE_INVALID');
  });

  it('guard blob-too-long: cuts a source that sends too much at once', async (t) => {
    const server = await serve(t, (_request, response) => {
      response.writeHead(200);
      for (let times = 0; times < 100; times += 1) response.write(CONTENT);
      response.end();
    });
    const one = sourceAt(t, server.host);
    const { fault, bytes } = await readSome(one, { ...BLOB, sizeBytes: SIZE - 10 });
    assert.equal(codeOf(fault), 'SIZE_MISMATCH');
    assert.ok(bytes < SIZE);
  });

  it('takes a blob whatever its transfer is labelled with, where it has its digest', async (t) => {
    for (const label of ['gzip', 'aws-chunked', 'utf-8', '']) {
      const server = await serve(t, (_request, response) => {
        response
          .writeHead(200, { 'content-encoding': label, 'content-length': String(SIZE) })
          .end(CONTENT);
      });
      const one = sourceAt(t, server.host);
      assert.ok((await read(one)).equals(CONTENT), label);
    }
  });

  it('guard empty-blob: checks an empty blob before anything is asked', async (t) => {
    const { at, one } = await setting(t);
    const empty = { ...BLOB, digest: digestOf(Buffer.alloc(0)), sizeBytes: 0 };
    assert.equal((await read(one, empty)).length, 0);
    await rejection(one.openBlob({ ...BLOB, sizeBytes: 0 }, 0, NEVER), 'DIGEST_MISMATCH');
    assert.equal(at.counter.total, 0);
  });

  it('asks for the size where the manifest told none', async (t) => {
    const { at, one } = await setting(t, { blobRedirect: 'other-host' });
    assert.ok((await read(one, { ...BLOB, sizeBytes: -1 })).equals(CONTENT));
    assert.equal(await one.blobSize(DIGEST, NEVER), SIZE);
    const digest = digestOf(Buffer.from('x'));
    assert.equal(await one.blobSize(digest, NEVER), undefined);
    assert.equal(await one.openBlob({ ...BLOB, digest, sizeBytes: -1 }, 0, NEVER), undefined);
    assert.equal(at.counter.count({ method: 'HEAD' }), 4);
  });

  it('does not say that a blob is missing whose size is not told', async (t) => {
    const server = await serve(t, (_request, response) => {
      response.writeHead(200, { 'transfer-encoding': 'chunked' }).end();
    });
    const one = sourceAt(t, server.host);
    await rejection(one.blobSize(DIGEST, NEVER), 'RESPONSE_INVALID');
    await rejection(one.openBlob({ ...BLOB, sizeBytes: -1 }, 0, NEVER), 'RESPONSE_INVALID');
  });

  it('asks by GET for the size that a HEAD does not tell, and whether it is not there', async (t) => {
    const untold = await serve(t, (request, response) => {
      if (request.method === 'HEAD') response.writeHead(200, { 'transfer-encoding': 'chunked' });
      response.end(request.method === 'HEAD' ? undefined : CONTENT);
    });
    const behind = await serve(t, (_request, response) => {
      response.writeHead(404, { 'content-type': 'text/plain' }).end('default backend - 404');
    });
    const registries = open(t, [untold.host, behind.host]);
    const at = (host: string): SourceRepository => sourceOf(registries, host);
    assert.equal(await at(untold.host).blobSize(DIGEST, NEVER), SIZE);
    await rejection(at(behind.host).blobSize(DIGEST, NEVER), 'RESPONSE_INVALID');
  });

  it('gives a blob from an offset, verified as a whole', async (t) => {
    const { at, one } = await setting(t);
    assert.ok(
      (await bytesOf(await one.openBlob(BLOB, 700_001, NEVER))).equals(CONTENT.subarray(700_001)),
    );
    at.faults.add({ kind: 'blob', effect: { kind: 'flip', atByte: 3 } });
    await rejection(bytesOf(await one.openBlob(BLOB, 700_001, NEVER)), 'DIGEST_MISMATCH');
  });

  it('lets go of the connection at once when nobody reads on', async (t) => {
    const closed = Promise.withResolvers<undefined>();
    const server = await serve(t, (_request, response) => {
      response.on('close', () => {
        closed.resolve(undefined);
      });
      response.writeHead(200, { 'content-length': String(SIZE) }).write(CONTENT.subarray(0, 10));
    });
    const one = sourceAt(t, server.host);
    const stream = await one.openBlob(BLOB, 0, NEVER);
    stream?.resume();
    await new Promise((resolve) => setTimeout(resolve, 20));
    stream?.destroy();
    await closed.promise;
    const unread = await one.openBlob(BLOB, 0, NEVER);
    unread?.destroy();
    // The gate has room for 7 streams: an eighth comes only because places were given back.
    for (let times = 0; times < 10; times++) (await one.openBlob(BLOB, 0, NEVER))?.destroy();
  });

  it('lets go of a resumed download, and keeps no place of its origin', async (t) => {
    let closed = 0;
    const server = await cutThen(t, (from, response) => {
      if (from === undefined) {
        cut(response);
        return;
      }
      response.on('close', () => (closed += 1));
      response.writeHead(206, {
        'content-range': `bytes ${from}-${SIZE - 1}/${SIZE}`,
        'content-length': String(SIZE - from),
      });
      // Some bytes, and then never one more.
      response.write(CONTENT.subarray(from, from + 100_000));
    });
    const registries = open(t, [server.host]);
    const one = sourceOf(registries, server.host);
    // More than an origin's window ever holds.
    for (let broken = 1; broken <= 40; broken += 1) {
      const stream = await one.openBlob(BLOB, 0, NEVER);
      assert.ok(stream instanceof Readable);
      let bytes = 0;
      for await (const chunk of stream as AsyncIterable<Buffer>) {
        bytes += chunk.length;
        if (bytes > 350_000) break;
      }
      await until(() => closed >= broken);
    }
    assert.deepEqual(registries.openWork(), []);
  });

  it('lets go of a resumed answer that is another blob', async (t) => {
    let closed = 0;
    const server = await cutThen(t, (_from, response) => {
      response.on('close', () => (closed += 1));
      response.writeHead(200, { 'content-length': String(SIZE + 1) }).write('x');
    });
    const registries = open(t, [server.host]);
    const one = sourceOf(registries, server.host);
    const { fault } = await readSome(one);
    assert.equal(codeOf(fault), 'SIZE_MISMATCH');
    await until(() => closed > 0);
    assert.deepEqual(registries.openWork(), []);
  });

  it('ends when the signal aborts', async (t) => {
    const server = await serve(t, (_request, response) => {
      response.writeHead(200, { 'content-length': String(SIZE) }).write(CONTENT.subarray(0, 10));
    });
    const one = sourceAt(t, server.host);
    const controller = new AbortController();
    const stream = (await one.openBlob(BLOB, 0, controller.signal)) ?? assert.fail();
    const failed = once(stream, 'error');
    stream.resume();
    controller.abort(new MirrorError('DEADLINE_EXCEEDED', 'over'));
    const [fault] = (await failed) as [unknown];
    assert.equal(codeOf(fault), 'DEADLINE_EXCEEDED');
  });

  it('never stands still, in whatever turns it is filled and read', async () => {
    const content = Buffer.alloc(300, 'abc');
    const stuck: string[] = [];
    for (let giving = 0; giving < 12; giving += 1) {
      for (let taking = 0; taking < 12; taking += 1) {
        async function* chunks(): AsyncGenerator<Buffer> {
          for (let at = 0; at < content.length; at += 1) {
            for (let turn = 0; turn < giving; turn += 1) await Promise.resolve();
            if (at % 7 === 0) await new Promise((resolve) => setImmediate(resolve));
            yield content.subarray(at, at + 1);
          }
        }
        const { options } = breaking(fakeTiming(), () => Promise.resolve());
        const stream = await readBlob(
          {
            ...options,
            blob: { digest: digestOf(content), sizeBytes: content.length },
            open: async (...asked) => ({
              ...((await options.open(...asked)) as OpenAnswer),
              chunks: chunks(),
            }),
          },
          NEVER,
        );
        assert.ok(stream !== undefined);
        const state = { ended: false };
        const reading = (async (): Promise<void> => {
          let read = 0;
          for await (const _chunk of stream) {
            read += 1;
            for (let turn = 0; turn < taking + (read % 3); turn += 1) await Promise.resolve();
          }
        })().finally(() => {
          state.ended = true;
        });
        for (let turn = 0; turn < 1000 && !state.ended; turn += 1) {
          await new Promise((resolve) => setImmediate(resolve));
        }
        if (state.ended) await reading;
        else {
          reading.catch(() => undefined);
          stuck.push(`${giving}/${taking}`);
          stream.destroy();
        }
      }
    }
    assert.deepEqual(stuck, []);
  });

  it('resumes for at most 30 s without a byte', async () => {
    const timing = fakeTiming();
    const { options, opened } = breaking(timing, async (opens) => {
      await timing.pass(opens === 1 ? 30_000 : 30_001);
    });
    const stream = await readBlob(options, NEVER);
    await rejection(bytesOf(stream ?? Readable.from([])), 'TIMEOUT');
    assert.equal(opened(), 2);
  });

  it('lets go of an answer that comes when nobody wants it any more', async () => {
    for (const later of [[206], [416, 200]]) {
      const wish = new AbortController();
      const { options } = breaking(fakeTiming(), () => Promise.resolve());
      const statuses = [200, ...later];
      let discarded = 0;
      const stream = await readBlob(
        {
          ...options,
          open: async (...asked) => {
            const answer = (await options.open(...asked)) as OpenAnswer;
            const { url, header } = answer;
            const status = statuses.shift();
            if (status === 416) return { status, url, header, body: Buffer.alloc(0) };
            if (statuses.length === 0) wish.abort();
            return { ...answer, discard: () => (discarded += 1) };
          },
        },
        wish.signal,
      );
      const fault: unknown = await bytesOf(stream).catch((error: unknown) => error);
      assert.deepEqual([codeOf(fault), discarded], ['ABORTED', 1]);
    }
  });

  it('waits for no pause when it opens, and when it resumes for what is left of the 30 s', async () => {
    const timing = fakeTiming();
    const { options } = breaking(timing, () => timing.pass(12_000));
    const patiences: number[] = [];
    const stream = await readBlob(
      {
        ...options,
        open: (offset, signal, patienceMs) => {
          patiences.push(patienceMs);
          return options.open(offset, signal, patienceMs);
        },
      },
      NEVER,
    );
    await bytesOf(stream ?? Readable.from([]));
    assert.deepEqual(patiences, [0, 18_000, 18_000]);
  });

  it('counts no time in which nobody wants bytes', async () => {
    const timing = fakeTiming();
    const { options, opened } = breaking(timing, () => Promise.resolve());
    const stream = await readBlob(options, NEVER);
    let bytes = 0;
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      await timing.pass(40_000);
    }
    assert.equal(bytes, CONTENT_OF_BREAKING.length);
    assert.equal(opened(), 3);
  });
});

const CONTENT_OF_BREAKING = Buffer.alloc(300, 'x');

/** A source that gives 100 bytes, one by one, and then breaks after something happened. */
function breaking(
  timing: Timing,
  before: (opens: number) => Promise<void>,
): { readonly options: BlobReaderOptions; readonly opened: () => number } {
  let opened = 0;
  async function* chunks(offset: number): AsyncGenerator<Buffer> {
    for (let at = offset; at < offset + 100; at++) yield CONTENT_OF_BREAKING.subarray(at, at + 1);
    if (offset + 100 >= CONTENT_OF_BREAKING.length) return;
    await before(opened);
    throw new MirrorError('TIMEOUT', 'stalled');
  }
  const options: BlobReaderOptions = {
    blob: { digest: digestOf(CONTENT_OF_BREAKING), sizeBytes: CONTENT_OF_BREAKING.length },
    open: (offset): Promise<OpenAnswer> => {
      opened += 1;
      return Promise.resolve({
        status: offset === 0 ? 200 : 206,
        header: (name) => (name === 'content-range' ? `bytes ${offset}-299/300` : undefined),
        url: new URL('http://r/'),
        chunks: chunks(offset),
        discard: () => undefined,
      });
    },
    timing,
    requireAbsence: () => Promise.resolve(),
    mayResume: true,
    onWrongAfterResume: () => undefined,
    asked: { operation: 'get blob', side: 'source' },
  };
  return { options, opened: () => opened };
}
