import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { createServer as createTlsServer } from 'node:tls';

import type { Transport, TransportResponse } from '../../../functions/registry/transport.ts';
import { rejection } from '../../faults.ts';
import { until } from '../../until.ts';
import { TEST_TLS } from './certificate.ts';
import { localTransport, NEVER, settle } from './setting.ts';

const MIB = 1024 * 1024;
/** From 32 MiB on a body is read past the HTTP parser. */
const LARGE = 32 * MIB + 12_345;

/** Bytes that tell where they stand. */
function counted(sizeBytes: number): Buffer {
  return Buffer.from(
    Uint32Array.from({ length: Math.ceil(sizeBytes / 4) }, (_, n) => n).buffer,
  ).subarray(0, sizeBytes);
}

const BODY = counted(LARGE);
const SHA = sha256(BODY);

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function head(more = '', status = '200 OK'): string {
  return `HTTP/1.1 ${status}\r\nContent-Length: ${LARGE}\r\n${more}\r\n`;
}

interface Rig {
  readonly url: URL;
  readonly transport: Transport;
  /** Connections that were made, in their order. */
  readonly connections: readonly Socket[];
}

const KINDS = [
  ['http', () => createServer()],
  ['https', () => createTlsServer({ key: TEST_TLS.key, cert: TEST_TLS.cert })],
] as const;

/** A server of bare connections, which is told each request's path. */
async function rig(
  t: TestContext,
  scheme: string,
  server: Server,
  onRequest: (connection: Socket, path: string) => void,
  bodyIdleMs?: number,
): Promise<Rig> {
  const connections: Socket[] = [];
  server.on(scheme === 'https' ? 'secureConnection' : 'connection', (connection: Socket) => {
    connections.push(connection);
    connection.on('error', () => undefined);
    connection.on('data', (chunk: Buffer) => {
      onRequest(connection, String(chunk).split(' ')[1] ?? '');
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const connection of connections) connection.destroy();
    server.close();
  });
  return {
    url: new URL(`${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}/`),
    transport: localTransport(t, { caCertificates: TEST_TLS.cert, bodyIdleMs }),
    connections,
  };
}

function get(
  { transport, url }: Rig,
  path = '/',
  signal: AbortSignal = NEVER,
): Promise<TransportResponse> {
  return transport.send({ method: 'GET', url: new URL(path, url), headers: {} }, signal);
}

async function shaOf(response: TransportResponse): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of response.chunks) {
    hash.update(chunk);
    // What happens to the connection happens before the next one is taken.
    await settle();
  }
  return hash.digest('hex');
}

for (const [scheme, serverOf] of KINDS) {
  describe(`a large body over ${scheme}`, () => {
    const start = (
      t: TestContext,
      onRequest: (connection: Socket, path: string) => void,
      bodyIdleMs?: number,
    ): Promise<Rig> => rig(t, scheme, serverOf(), onRequest, bodyIdleMs);

    for (const [what, firstBytes] of [
      ['apart from its head', 0],
      ['of which one byte comes with the head', 1],
      ['of which more comes with the head than is read at once', 200_000],
    ] as const) {
      it(`arrives as it is: ${what}`, async (t) => {
        const at = await start(t, (connection) => {
          const first = BODY.subarray(0, firstBytes);
          connection.write(Buffer.concat([Buffer.from(head(), 'latin1'), first]), () => {
            connection.write(BODY.subarray(firstBytes));
          });
        });
        const response = await get(at);
        assert.equal(await shaOf(response), SHA);
        // Its connection cannot be used again.
        await until(() => at.connections[0]?.destroyed === true);
      });
    }

    it('arrives as it is, four at once', async (t) => {
      const at = await start(t, (connection) => {
        connection.write(head());
        connection.write(BODY);
      });
      const got = await Promise.all(Array.from({ length: 4 }, async () => shaOf(await get(at))));
      assert.deepEqual(got, [SHA, SHA, SHA, SHA]);
    });

    it('is whole although more comes after it, or the connection ends with it', async (t) => {
      const at = await start(t, (connection, path) => {
        connection.write(head(path === '/end' ? 'Connection: close\r\n' : ''));
        if (path === '/end') connection.end(BODY);
        else connection.write(Buffer.concat([BODY, Buffer.from('HTTP/1.1 200 OK\r\n\r\n')]));
      });
      assert.equal(await shaOf(await get(at, '/more')), SHA);
      assert.equal(await shaOf(await get(at, '/end')), SHA);
      assert.equal(at.connections.length, 2);
    });

    it('is given on as it comes, however slowly', async (t) => {
      const at = await start(t, (connection) => {
        connection.write(head());
      });
      const chunks = (await get(at)).chunks[Symbol.asyncIterator]();
      for (const text of ['one', 'two', 'three']) {
        const next = chunks.next();
        at.connections[0]?.write(text);
        assert.equal(String((await next).value), text);
      }
      await chunks.return?.();
      await until(() => at.connections[0]?.destroyed === true);
    });

    it('is not read faster than it is taken', async (t) => {
      const at = await start(t, (connection) => {
        connection.write(head());
        for (let byte = 0; byte < LARGE; byte += 65_536)
          connection.write(BODY.subarray(byte, byte + 65_536));
      });
      const chunks = (await get(at)).chunks[Symbol.asyncIterator]();
      await chunks.next();
      const [connection] = at.connections;
      assert.ok(connection);
      let left = -1;
      let looks = 0;
      // The kernel's buffers fill up, and nothing moves any more.
      await until(() => {
        looks = connection.writableLength === left ? looks + 1 : 0;
        left = connection.writableLength;
        return looks === 50;
      });
      assert.ok(left > 8 * MIB, `${left} bytes wait`);
      await chunks.return?.();
    });

    for (const [how, end] of [
      ['ends', (connection: Socket): unknown => connection.end()],
      ['breaks', (connection: Socket): unknown => connection.destroy()],
    ] as const) {
      it(`that ${how} early is a fault of the network, after what came`, async (t) => {
        const at = await start(t, (connection) => {
          connection.write(head());
          connection.write(BODY.subarray(0, MIB), () => end(connection));
        });
        let bytes = 0;
        await rejection(
          (async () => {
            for await (const chunk of (await get(at)).chunks) bytes += chunk.length;
          })(),
          'NETWORK',
        );
        assert.equal(bytes, MIB);
      });
    }

    it('that stands still ends', async (t) => {
      const at = await start(
        t,
        (connection) => {
          connection.write(head());
          connection.write(BODY.subarray(0, MIB));
        },
        200,
      );
      const fault = await rejection(get(at).then(shaOf), 'TIMEOUT');
      assert.match(fault.message, /stopped in the middle/);
      await until(() => at.connections[0]?.destroyed === true);
    });

    it('ends with its signal, and when it is discarded unread', async (t) => {
      const at = await start(t, (connection) => {
        connection.write(head());
        connection.write(BODY);
      });
      const abort = new AbortController();
      const chunks = (await get(at, '/', abort.signal)).chunks[Symbol.asyncIterator]();
      await chunks.next();
      abort.abort();
      await rejection(
        (async () => {
          while ((await chunks.next()).done !== true);
        })(),
        'ABORTED',
      );
      (await get(at)).discard();
      await until(() => at.connections.every(({ destroyed }) => destroyed));
      assert.equal(at.connections.length, 2);
    });

    it('is not waited for after a HEAD', async (t) => {
      const at = await start(t, (connection) => {
        connection.write(head());
      });
      const asked = { method: 'HEAD', url: at.url, headers: {} } as const;
      const response = await at.transport.send(asked, NEVER);
      assert.equal(response.header('content-length'), String(LARGE));
      assert.equal(await shaOf(response), sha256(Buffer.alloc(0)));
    });

    it('is waited for only where the status has one', async (t) => {
      const at = await start(t, (connection) => {
        connection.write(head('', '304 Not Modified'));
      });
      const response = await get(at);
      assert.equal(await shaOf(response), sha256(Buffer.alloc(0)));
    });
  });
}
