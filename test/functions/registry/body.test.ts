import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { gzipSync } from 'node:zlib';

import { readBody, readErrorBody } from '../../../functions/registry/body.ts';
import type { TransportResponse } from '../../../functions/registry/transport.ts';
import { rejection } from '../../faults.ts';
import { localTransport, NEVER, serve } from './setting.ts';

const MAX_ERROR_BYTES = 64 * 1024;

/** A response whose body is written by `write`. */
async function respond(
  t: TestContext,
  headers: Readonly<Record<string, string>>,
  write: (chunk: (bytes: Buffer) => boolean) => void,
): Promise<TransportResponse> {
  const server = await serve(t, (_request, response) => {
    response.writeHead(200, headers);
    write((bytes) => response.write(bytes));
  });
  const url = new URL(server.url);
  return localTransport(t).send({ method: 'GET', url, headers: {}, budgetMs: 10_000 }, NEVER);
}

/** A response with a body that is said to be in this coding. */
function encoded(t: TestContext, coding: string, bytes: Buffer): Promise<TransportResponse> {
  const headers = { 'content-encoding': coding, 'content-length': String(bytes.length) };
  return respond(t, headers, (chunk) => chunk(bytes));
}

describe('body', () => {
  it('guard response-size: stops reading beyond the cap, announced or not', async (t) => {
    const endless = await respond(t, {}, (chunk) => {
      for (let sent = 0; sent < 20; sent++) chunk(Buffer.alloc(1000));
    });
    await rejection(readBody(endless, 5000), 'RESPONSE_TOO_LARGE');
    const exact = await respond(t, { 'content-length': '5000' }, (chunk) =>
      chunk(Buffer.alloc(5000)),
    );
    assert.equal((await readBody(exact, 5000)).length, 5000);
  });

  it('guard content-encoding: takes no body in a coding that is not unpacked', async (t) => {
    for (const coding of ['br', 'deflate', 'zstd', 'gzip, br', 'gzip, gzip', 'aws-chunked, BR']) {
      const packed = await encoded(t, coding, Buffer.from('gz!'));
      await rejection(readBody(packed, 100), 'RESPONSE_INVALID');
    }
    for (const label of ['Identity', 'aws-chunked', 'utf-8', '']) {
      const labelled = await encoded(t, label, Buffer.from('ok'));
      assert.equal(String(await readBody(labelled, 100)), 'ok', label);
    }
  });

  it('unpacks gzip that was not asked for, and takes as it is what only says so', async (t) => {
    for (const [coding, bytes] of [
      ['gzip', gzipSync('content')],
      ['X-GZIP', gzipSync('content')],
      ['gzip', Buffer.from('content')],
    ] as const) {
      const packed = await encoded(t, coding, bytes);
      assert.equal(String(await readBody(packed, 100)), 'content');
    }
    const broken = await encoded(t, 'gzip', gzipSync('content').subarray(0, 20));
    await rejection(readBody(broken, 100), 'RESPONSE_INVALID');
  });

  it('unpacks errors too: what cannot be unpacked is as good as none', async (t) => {
    const bomb = gzipSync(Buffer.alloc(MAX_ERROR_BYTES + 1));
    for (const [bytes, expected] of [
      [gzipSync('{"errors":[]}'), '{"errors":[]}'],
      [Buffer.from('{"errors":[]}'), '{"errors":[]}'],
      [gzipSync('{"errors":[]}').subarray(0, 20), ''],
      [bomb, ''],
    ] as const) {
      const packed = await encoded(t, 'gzip', bytes);
      assert.equal(String(await readErrorBody(packed)), expected);
    }
  });

  it('guard unpacked-size: unpacks no more than the cap', async (t) => {
    const packed = await encoded(t, 'gzip', gzipSync(Buffer.alloc(1_000_000)));
    await rejection(readBody(packed, 100_000), 'RESPONSE_TOO_LARGE');
  });

  it('guard error-size: takes of an error what fits, and no more', async (t) => {
    let sentBytes = 0;
    const endless = await respond(t, {}, (chunk) => {
      const timer = setInterval(() => {
        sentBytes += 16_384;
        chunk(Buffer.alloc(16_384));
        if (sentBytes > 20 * MAX_ERROR_BYTES) clearInterval(timer);
      }, 1);
      t.after(() => {
        clearInterval(timer);
      });
    });
    const deadline = new Promise<string>((resolve) =>
      setTimeout(resolve, 30_000, 'still reading').unref(),
    );
    const body = await Promise.race([readErrorBody(endless), deadline]);
    assert.ok(typeof body !== 'string', 'still reading');
    assert.equal(body.length, MAX_ERROR_BYTES);
    // What is as long as that is not waited for any further.
    const exact = await respond(t, {}, (chunk) => chunk(Buffer.alloc(MAX_ERROR_BYTES)));
    assert.notEqual(await Promise.race([readErrorBody(exact), deadline]), 'still reading');
  });

  it('takes a broken error body for what came', async (t) => {
    const broken = await respond(t, { 'content-length': '100' }, (chunk) =>
      chunk(Buffer.from('some')),
    );
    setTimeout(() => {
      broken.discard();
    }, 50);
    assert.equal(String(await readErrorBody(broken)), 'some');
  });
});
