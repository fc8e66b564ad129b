import assert from 'node:assert/strict';
import { createServer, request as httpRequest, type Server } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';

import { pushHandler } from '../../functions/push-handler.ts';
import type { PushRequest } from '../../functions/subscriber/subscriber.ts';
import { until } from '../until.ts';
import { keptLines } from './subscriber/samples.ts';

interface Seen {
  readonly incoming: unknown;
  readonly request: PushRequest;
}

const BINARY = { 'ce-id': '1', 'ce-type': 't', 'ce-source': 's', 'ce-specversion': '1.0' };

/** What tells that a body follows, and of what size. */
const FRAMING = ['content-length', 'transfer-encoding'];

describe('push handler', () => {
  const seen: Seen[] = [];
  let refuses = false;
  let server: Server;
  let port = 0;

  const { logger, lines } = keptLines();

  before(async () => {
    server = createServer(
      pushHandler({
        logger,
        handle: async (incoming, request) => {
          seen.push({ incoming, request });
          return refuses ? Promise.reject(new Error('again')) : Promise.resolve();
        },
      }),
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    ({ port } = server.address() as AddressInfo);
  });
  after(() => {
    server.closeAllConnections();
    server.close();
  });

  /** fetch always sends a content type and no bodiless POST of unknown length: this is plainer. */
  async function send(
    method: string,
    headers: Record<string, string>,
    body?: string | Buffer,
    isFramed = true,
  ): Promise<{ status: number; allow: string | undefined; text: string }> {
    return new Promise((resolve, reject) => {
      const request = httpRequest({ port, host: '127.0.0.1', method, headers }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => {
          resolve({
            status: response.statusCode ?? 0,
            allow: response.headers.allow,
            text: Buffer.concat(chunks).toString('utf8'),
          });
        });
      });
      request.on('error', reject);
      if (!isFramed) for (const name of FRAMING) request.removeHeader(name);
      request.end(body);
    });
  }

  it('takes a CloudEvent out of headers and body, whatever its content type or without one', async () => {
    for (const type of [undefined, 'application/json', 'text/plain', 'application/xml']) {
      const headers = { ...BINARY, ...(type === undefined ? {} : { 'content-type': type }) };
      assert.equal((await send('POST', headers, '{"a":1}')).status, 204);
      assert.deepEqual(seen.at(-1)?.incoming, {
        id: '1',
        type: 't',
        source: 's',
        specversion: '1.0',
        data: Buffer.from('{"a":1}'),
      });
    }
  });

  it('gives on as bytes what has not all of a CloudEvent’s headers, however it is framed', async () => {
    for (const [missing] of Object.entries(BINARY)) {
      const { [missing as keyof typeof BINARY]: _, ...rest } = BINARY;
      await send('POST', rest, '{"b":2}');
      assert.deepEqual(seen.at(-1)?.incoming, Buffer.from('{"b":2}'));
    }
    await send('POST', { 'transfer-encoding': 'chunked' }, '{"c":3}');
    assert.deepEqual(seen.at(-1)?.incoming, Buffer.from('{"c":3}'));
  });

  it('links a delivery to the trace of its request, whatever its event says', async () => {
    const headers = { ...BINARY, 'ce-traceparent': '00-event', traceparent: '00-request' };
    await send('POST', headers, '{}');
    const { traceparent } = seen.at(-1)?.incoming as { readonly traceparent?: string };
    assert.equal(traceparent, '00-request');
    await send('POST', { ...BINARY, 'ce-traceparent': '00-event' }, '{}');
    assert.equal((seen.at(-1)?.incoming as { traceparent?: string }).traceparent, '00-event');
  });

  it('does not decompress', async () => {
    const compressed = gzipSync('{}');
    await send('POST', { 'content-encoding': 'gzip' }, compressed);
    assert.deepEqual(seen.at(-1)?.incoming, compressed);
  });

  it('tells the function its arrival, execution, trace and message', async () => {
    const beforeMs = Date.now();
    await send(
      'POST',
      { 'function-execution-id': 'e-1', traceparent: '00-t', 'x-goog-pubsub-message-id': 'm-1' },
      'x',
    );
    const { request } = seen.at(-1) ?? {};
    assert.equal(request?.messageId, 'm-1');
    assert.equal(request.executionId, 'e-1');
    assert.equal(request.traceparent, '00-t');
    assert.ok(request.arrivedAtMs >= beforeMs);
    await send('POST', {}, 'x');
    assert.match(String(seen.at(-1)?.request.executionId), /^[0-9a-f]{8}$/);
  });

  it("takes the trace from Google's own header where there is no traceparent", async () => {
    const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
    const google = { 'x-cloud-trace-context': `${traceId}/67667974448284343;o=1` };
    await send('POST', google, 'x');
    assert.equal(seen.at(-1)?.request.traceparent, `00-${traceId}-00f067aa0ba902b7-01`);
    await send('POST', { ...google, traceparent: '' }, 'x');
    assert.match(seen.at(-1)?.request.traceparent ?? '', new RegExp(traceId));
    await send('POST', { ...google, traceparent: '00-t' }, 'x');
    assert.equal(seen.at(-1)?.request.traceparent, '00-t');
  });

  it('answers GET and HEAD without the function, with one log line each', async () => {
    const count = seen.length;
    const written = lines.length;
    const { status, text } = await send('GET', {});
    assert.deepEqual([status, text], [200, 'imagerepo-mirror takes CloudEvents by POST.\n']);
    assert.deepEqual(await send('HEAD', {}), { status: 200, allow: undefined, text: '' });
    assert.equal(seen.length, count);
    assert.deepEqual(
      lines.slice(written).map(({ severity, method }) => [severity, method]),
      [
        ['INFO', 'GET'],
        ['INFO', 'HEAD'],
      ],
    );
  });

  it('refuses other methods', async () => {
    for (const method of ['PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
      const answered = await send(method, { 'content-length': '1' }, 'x');
      assert.deepEqual(answered, { status: 405, allow: 'GET, HEAD, POST', text: '' });
    }
  });

  it('guard body-size: refuses a body that says it is larger than any push, with a log line', async () => {
    const count = seen.length;
    assert.equal((await send('POST', { 'content-length': '14000001' }, 'x')).status, 413);
    const { severity, messageBytes } = lines.at(-1) ?? {};
    assert.deepEqual([severity, messageBytes, seen.length], ['WARNING', 14_000_001, count]);
  });

  it('guard body-size: refuses a body that becomes larger than any push, and takes the largest', async () => {
    const chunked = { 'transfer-encoding': 'chunked' };
    assert.equal((await send('POST', chunked, Buffer.alloc(14_000_000))).status, 204);
    const count = seen.length;
    assert.equal((await send('POST', chunked, Buffer.alloc(14_000_001))).status, 413);
    assert.equal(seen.length, count);
    const { severity, messageBytes } = lines.at(-1) ?? {};
    assert.deepEqual([severity, Number(messageBytes) > 14_000_000], ['WARNING', true]);
  });

  it('leaves a push whose connection ends before its body does, with a log line', async () => {
    const count = seen.length;
    const written = lines.length;
    const socket = connect(port, '127.0.0.1');
    socket.end('POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf');
    await until(() => lines.length > written);
    const { severity, message } = lines[written] ?? {};
    assert.deepEqual([severity, message], ['WARNING', 'a push was cut before its body was whole']);
    assert.equal(seen.length, count);
    socket.destroy();
  });

  it('takes a message without a body, with its attributes', async () => {
    const { status } = await send('POST', { 'ce-id': '7', 'ce-type': 't', 'content-length': '0' });
    assert.equal(status, 204);
    assert.deepEqual(seen.at(-1)?.incoming, {
      message: { attributes: { 'ce-id': '7', 'ce-type': 't' }, data: '' },
    });
    await send('POST', { 'content-length': '0' });
    assert.deepEqual(seen.at(-1)?.incoming, { message: { attributes: {}, data: '' } });
    await send('POST', { 'ce-id': '8' }, undefined, false);
    const { incoming } = seen.at(-1) ?? {};
    assert.deepEqual(incoming, { message: { attributes: { 'ce-id': '8' }, data: '' } });
  });

  it('answers 500 where a message is to be delivered again, with and without a body', async () => {
    refuses = true;
    assert.equal((await send('POST', { 'content-length': '0' })).status, 500);
    assert.equal((await send('POST', BINARY, '{}')).status, 500);
    refuses = false;
  });
});
