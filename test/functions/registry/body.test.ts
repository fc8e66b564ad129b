import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';

import { readBody, readErrorBody } from '../../../functions/registry/body.ts';
import { openTransport, type TransportResponse } from '../../../functions/registry/transport.ts';
import { rejection } from '../../faults.ts';
import { NEVER, serve } from './setting.ts';
import type { TestContext } from 'node:test';

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
  const transport = openTransport({ addresses: { privateHosts: new Set(), loopback: true } });
  t.after(() => {
    transport.close();
  });
  return transport.send(
    { method: 'GET', url: new URL(server.url), headers: {}, budgetMs: 10_000 },
    NEVER,
  );
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
    for (const coding of ['br', 'deflate', 'zstd', 'gzip, br', 'gzip, gzip']) {
      const encoded = await respond(
        t,
        { 'content-encoding': coding, 'content-length': '3' },
        (chunk) => chunk(Buffer.from('gz!')),
      );
      await rejection(readBody(encoded, 100), 'RESPONSE_INVALID');
    }
    const plain = await respond(
      t,
      { 'content-encoding': 'Identity', 'content-length': '2' },
      (chunk) => chunk(Buffer.from('ok')),
    );
    assert.equal(String(await readBody(plain, 100)), 'ok');
    for (const label of ['aws-chunked', 'utf-8', '']) {
      const labelled = await respond(
        t,
        { 'content-encoding': label, 'content-length': '2' },
        (chunk) => chunk(Buffer.from('ok')),
      );
      assert.equal(String(await readBody(labelled, 100)), 'ok', label);
    }
    const both = await respond(
      t,
      { 'content-encoding': 'aws-chunked, BR', 'content-length': '2' },
      (chunk) => chunk(Buffer.from('ok')),
    );
    await rejection(readBody(both, 100), 'RESPONSE_INVALID');
  });

  it('unpacks gzip that was not asked for, and takes as it is what only says so', async (t) => {
    for (const [coding, bytes] of [
      ['gzip', gzipSync('content')],
      ['X-GZIP', gzipSync('content')],
      ['gzip', Buffer.from('content')],
    ] as const) {
      const packed = await respond(
        t,
        { 'content-encoding': coding, 'content-length': String(bytes.length) },
        (chunk) => chunk(bytes),
      );
      assert.equal(String(await readBody(packed, 100)), 'content');
    }
    const cut = gzipSync('content').subarray(0, 20);
    const broken = await respond(
      t,
      { 'content-encoding': 'gzip', 'content-length': String(cut.length) },
      (chunk) => chunk(cut),
    );
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
      const packed = await respond(
        t,
        { 'content-encoding': 'gzip', 'content-length': String(bytes.length) },
        (chunk) => chunk(bytes),
      );
      assert.equal(String(await readErrorBody(packed)), expected);
    }
  });

  it('guard unpacked-size: unpacks no more than the cap', async (t) => {
    const bomb = gzipSync(Buffer.alloc(1_000_000));
    const packed = await respond(
      t,
      { 'content-encoding': 'gzip', 'content-length': String(bomb.length) },
      (chunk) => chunk(bomb),
    );
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
