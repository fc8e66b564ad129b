import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { Readable } from 'node:stream';
import { describe, it, type TestContext } from 'node:test';
import { inspect } from 'node:util';

import { MirrorError } from '../../../functions/errors.ts';
import { readBody } from '../../../functions/registry/body.ts';
import { wasSentInFull } from '../../../functions/registry/sent-in-full.ts';
import type { Transport, TransportRequest } from '../../../functions/registry/transport.ts';
import { rejection } from '../../faults.ts';
import { until } from '../../until.ts';
import { withEnvironment } from '../environment.ts';
import { bytesOf, localTransport, NEVER, serve, tcp } from './setting.ts';

// Blobs, which have no budget, go through Node's own client, and all else through got: both alike.
for (const [kind, ofKind] of [
  ['small requests', { budgetMs: 20_000 }],
  ['blobs', {}],
] as const) {
  function get(url: string, changes: Partial<TransportRequest> = {}): TransportRequest {
    return { method: 'GET', url: new URL(url), headers: {}, ...ofKind, ...changes };
  }

  function upload(
    url: string,
    body: Readable,
    sizeBytes: number,
    changes: Partial<TransportRequest> = {},
  ): TransportRequest {
    return get(url, {
      method: 'PUT',
      headers: { 'content-length': String(sizeBytes) },
      body: { stream: body, sizeBytes },
      ...changes,
    });
  }

  describe(`transport of ${kind}`, () => {
    it('asks for the bytes as they are and says who asks', async (t) => {
      const server = await serve(t, (_request, response) =>
        response.setHeader('x-a', '1').end('body'),
      );
      const { signal } = new AbortController();
      const response = await localTransport(t).send(
        get(`${server.url}/a%20b~c(d)?x=a%20b~c(d)`),
        signal,
      );
      assert.equal(response.status, 200);
      assert.equal(response.header('x-a'), '1');
      assert.equal(response.header('x-b'), undefined);
      assert.equal(String(await readBody(response, 10)), 'body');
      assert.equal(getEventListeners(signal, 'abort').length, 0);
      const [seen] = server.seen;
      assert.equal(seen?.url, '/a%20b~c(d)?x=a%20b~c(d)');
      assert.equal(seen.headers['accept-encoding'], 'identity');
      assert.equal(seen.headers['user-agent'], 'imagerepo-mirror');
      assert.equal(seen.authorization, undefined);
    });

    it('follows nothing, repeats nothing and throws at no status', async (t) => {
      const server = await serve(t, (request, response) => {
        response.writeHead(request.url === '/302' ? 302 : 503, { location: '/elsewhere' }).end();
      });
      const door = localTransport(t);
      for (const status of [302, 503]) {
        const response = await door.send(get(`${server.url}/${status}`), NEVER);
        assert.equal(response.status, status);
        await readBody(response, 10);
      }
      assert.equal(server.seen.length, 2);
    });

    it('uses a connection again, for answers without a body too', async (t) => {
      const server = await serve(t, (request, response) => {
        request.resume().on('end', () => {
          // Node keeps no connection after a HEAD whose answer tells no length; registries tell it.
          response
            .writeHead(201, { 'content-length': '2' })
            .end(request.method === 'HEAD' ? '' : 'ok');
        });
      });
      const door = localTransport(t);
      for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'GET'] as const) {
        const body = method === 'PUT' ? { body: Buffer.from('manifest') } : {};
        await readBody(await door.send(get(server.url, { method, ...body }), NEVER), 100);
      }
      assert.equal(server.connections(), 1);
    });

    it('uses the connection of an upload again', async (t) => {
      const server = await serve(t, (request, response) => {
        request.resume().on('end', () => response.writeHead(201).end());
      });
      const door = localTransport(t);
      for (let times = 0; times < 3; times++) {
        const body = Readable.from([Buffer.alloc(70_000), Buffer.alloc(5)]);
        await readBody(await door.send(upload(server.url, body, 70_005), NEVER), 10);
      }
      assert.equal(server.connections(), 1);
    });

    it('sends a stream as it comes and tells how far it is', async (t) => {
      let received = 0;
      const server = await serve(t, (request, response) => {
        request.on('data', (chunk: Buffer) => (received += chunk.length));
        request.on('end', () => response.writeHead(201).end());
      });
      let told = 0;
      const sizeBytes = 3 * 1024 * 1024 + 7;
      const body = Readable.from([Buffer.alloc(sizeBytes - 7), Buffer.alloc(7)]);
      const counted = { stream: body, sizeBytes, onBytes: (count: number) => (told += count) };
      const request = upload(server.url, body, sizeBytes, { body: counted });
      const response = await localTransport(t).send(request, NEVER);
      await readBody(response, 10);
      assert.deepEqual([response.status, received, told], [201, sizeBytes, sizeBytes]);
    });

    it('breaks off when the bytes break off, so that nothing wrong is complete', async (t) => {
      let ended = false;
      const begun = Promise.withResolvers<undefined>();
      const closed = Promise.withResolvers<undefined>();
      const server = await serve(t, (request) => {
        request.once('data', begun.resolve).on('end', () => (ended = true));
        request.on('close', closed.resolve);
      });
      async function* broken(): AsyncGenerator<Buffer> {
        yield Buffer.alloc(10);
        await begun.promise;
        throw new MirrorError('DIGEST_MISMATCH', 'wrong', { side: 'source' });
      }
      const sent = localTransport(t).send(upload(server.url, Readable.from(broken()), 20), NEVER);
      const fault = await rejection(sent, 'DIGEST_MISMATCH');
      assert.equal(fault.side, 'source');
      await closed.promise;
      assert.equal(ended, false);
    });

    it('guard upload-size: sends not one byte more than was announced', async (t) => {
      let received = 0;
      const begun = Promise.withResolvers<undefined>();
      const closed = Promise.withResolvers<undefined>();
      const server = await serve(t, (request, response) => {
        request.once('data', begun.resolve);
        request.on('data', (chunk: Buffer) => (received += chunk.length));
        request.on('end', () => response.writeHead(201).end());
        request.on('close', closed.resolve);
      });
      async function* tooMuch(): AsyncGenerator<Buffer> {
        yield Buffer.alloc(10);
        await begun.promise;
        yield Buffer.alloc(11);
      }
      const sent = localTransport(t).send(upload(server.url, Readable.from(tooMuch()), 20), NEVER);
      await rejection(sent, 'SIZE_MISMATCH');
      await closed.promise;
      assert.equal(received, 10);
    });

    it('breaks off when too few bytes come', async (t) => {
      let ended = false;
      const closed = Promise.withResolvers<undefined>();
      const server = await serve(t, (request) => {
        request.resume().on('end', () => (ended = true));
        request.on('close', closed.resolve);
      });
      const body = Readable.from([Buffer.alloc(10)]);
      await rejection(localTransport(t).send(upload(server.url, body, 20), NEVER), 'SIZE_MISMATCH');
      await closed.promise;
      assert.equal(ended, false);
    });

    for (const source of ['goes on', 'has stopped']) {
      it(`stops an upload that is answered before its end, where its source ${source}`, async (t) => {
        const server = await serve(t, (request, response) => {
          request.once('data', () => response.writeHead(400).end('{"errors":[]}'));
        });
        let destroyed = false;
        let given = 0;
        const endless = new Readable({
          read() {
            given += 1;
            if (given === 1 || source === 'goes on') this.push(Buffer.alloc(65_536));
          },
          destroy(error, callback) {
            destroyed = true;
            callback(error);
          },
        });
        const response = await localTransport(t).send(upload(server.url, endless, 2 ** 40), NEVER);
        assert.equal(response.status, 400);
        assert.equal(String(await readBody(response, 100)), '{"errors":[]}');
        assert.equal(destroyed, true);
      });
    }

    it('guard early-success: believes no success that comes before the bytes', async (t) => {
      const server = await serve(t, (request, response) => {
        response.writeHead(201).end();
        request.resume();
      });
      const begun = Promise.withResolvers<undefined>();
      async function* slow(): AsyncGenerator<Buffer> {
        yield Buffer.alloc(10);
        await begun.promise;
        yield Buffer.alloc(10);
      }
      t.after(() => {
        begun.resolve(undefined);
      });
      const sent = localTransport(t).send(upload(server.url, Readable.from(slow()), 20), NEVER);
      await rejection(sent, 'RESPONSE_INVALID');
    });

    it('guard response-headers: takes at most 128 KiB of response head', async (t) => {
      // Two bytes for what divides or ends each name and value.
      const otherBytes = 'x-large'.length + 'content-length'.length + '2'.length + 4 * 2;
      const url = await tcp(t, (socket) => {
        socket.once('data', (head) => {
          const sizeBytes = 128 * 1024 - otherBytes + (String(head).includes('/large') ? 1 : 0);
          const large = `x-large: ${'a'.repeat(sizeBytes)}`;
          socket.end(`HTTP/1.1 200 OK\r\n${large}\r\ncontent-length: 2\r\n\r\nok`);
        });
      });
      const door = localTransport(t);
      await rejection(door.send(get(`${url}/large`), NEVER), 'RESPONSE_TOO_LARGE');
      await readBody(await door.send(get(`${url}/small`), NEVER), 10);
    });

    it('gives up a head without end', async (t) => {
      const url = await tcp(t, (socket) => {
        socket.write('HTTP/1.1 200 OK\r\n');
        const timer = setInterval(() => socket.write(`x-${'a'.repeat(8000)}: b\r\n`), 1);
        socket.on('close', () => {
          clearInterval(timer);
        });
      });
      await rejection(localTransport(t).send(get(url), NEVER), 'RESPONSE_TOO_LARGE');
    });

    it('ends a wait for the head, for the body and for room to send', async (t) => {
      const silent = await tcp(t, (socket) => socket.resume());
      const stuckAfter = (body: string): Promise<string> =>
        tcp(t, (socket) => {
          socket.resume();
          socket.write(`HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n${body}`);
        });
      const deaf = await tcp(t, (socket) => socket.pause());
      const door = localTransport(t, { idleMs: 3000, bodyIdleMs: 300 });
      await rejection(door.send(get(silent), NEVER), 'TIMEOUT');
      const whole = Readable.from([Buffer.alloc(10)]);
      await rejection(door.send(upload(silent, whole, 10), NEVER), 'TIMEOUT');
      for (const body of ['', 'some']) {
        const response = await door.send(get(await stuckAfter(body)), NEVER);
        await rejection(bytesOf(response.chunks), 'TIMEOUT');
      }
      const much = Readable.from(
        (function* () {
          for (;;) yield Buffer.alloc(1024 * 1024);
        })(),
      );
      await rejection(door.send(upload(deaf, much, 2 ** 40), NEVER), 'TIMEOUT');
    });

    it('counts no time in which we hold the stream back', async (t) => {
      const server = await serve(t, (_request, response) =>
        response.end(Buffer.alloc(2 * 1024 * 1024)),
      );
      const response = await localTransport(t, { idleMs: 3000 }).send(get(server.url), NEVER);
      let bytes = 0;
      let paused = false;
      for await (const chunk of response.chunks) {
        bytes += chunk.length;
        if (!paused) await new Promise((resolve) => setTimeout(resolve, 5000));
        paused = true;
      }
      assert.equal(bytes, 2 * 1024 * 1024);
    });

    it('gives up no answer whose bytes come slowly', async (t) => {
      const url = await tcp(t, (socket) => {
        socket.resume().write('HTTP/1.1 200 OK\r\ncontent-length: 40000\r\n\r\n');
        const timer = setInterval(() => socket.write(Buffer.alloc(5000)), 500);
        socket.on('close', () => {
          clearInterval(timer);
        });
      });
      const response = await localTransport(t, { bodyIdleMs: 3000 }).send(get(url), NEVER);
      assert.equal((await bytesOf(response.chunks)).length, 40_000);
    });

    it('counts no time in which the bytes to send are not there', async (t) => {
      const server = await serve(t, (request, response) => {
        request.resume().on('end', () => response.writeHead(201).end());
      });
      async function* slow(): AsyncGenerator<Buffer> {
        yield Buffer.alloc(10);
        await new Promise((resolve) => setTimeout(resolve, 5000));
        yield Buffer.alloc(10);
      }
      const door = localTransport(t, { idleMs: 3000 });
      const response = await door.send(upload(server.url, Readable.from(slow()), 20), NEVER);
      await readBody(response, 10);
      assert.equal(response.status, 201);
    });

    it('gives up a connection that is not made in time, TLS included', async (t) => {
      const url = await tcp(t, (socket) => socket.resume());
      const door = localTransport(t, { connectMs: 200 });
      const sent = door.send(get(url.replace('http:', 'https:')), NEVER);
      assert.match((await rejection(sent, 'TIMEOUT')).message, /^no connection in time/);
    });

    it('breaks what runs and keeps no connection when it is closed', async (t) => {
      let connections = 0;
      const url = await tcp(t, (socket) => {
        connections += 1;
        socket.on('close', () => (connections -= 1));
        socket.on('data', (data) => {
          if (data.includes('GET')) socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
        });
      });
      const door = localTransport(t);
      await readBody(await door.send(get(url), NEVER), 10);
      const handshake = door.send(get(url.replace('http:', 'https:')), NEVER);
      await until(() => connections === 2);
      door.close();
      await rejection(handshake, 'NETWORK');
      await until(() => connections === 0);
    });

    it('ends with its budget, also within the body', async (t) => {
      const url = await tcp(t, (socket) => {
        socket.write('HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n');
        const timer = setInterval(() => socket.write('x'), 5);
        socket.on('close', () => {
          clearInterval(timer);
        });
      });
      const response = await localTransport(t).send(get(url, { budgetMs: 1500 }), NEVER);
      await rejection(bytesOf(response.chunks), 'TIMEOUT');
    });

    it('ends when its signal aborts: before, while waiting and within the body', async (t) => {
      const server = await serve(t, (request, response) => {
        if (request.url === '/body')
          response.writeHead(200, { 'content-length': '100' }).write('some');
      });
      const door = localTransport(t);
      await rejection(door.send(get(server.url), AbortSignal.abort()), 'ABORTED');
      const waiting = new AbortController();
      const sent = door.send(get(server.url), waiting.signal);
      setTimeout(() => {
        waiting.abort(new MirrorError('DEADLINE_EXCEEDED', 'over'));
      }, 20);
      await rejection(sent, 'DEADLINE_EXCEEDED');
      const reading = new AbortController();
      const response = await door.send(get(`${server.url}/body`), reading.signal);
      const read = bytesOf(response.chunks);
      setTimeout(() => {
        reading.abort();
      }, 20);
      await rejection(read, 'ABORTED');
    });

    it('sees a body that is cut short', async (t) => {
      const url = await tcp(t, (socket) => {
        socket.resume().end('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nsome');
      });
      const response = await localTransport(t).send(get(url), NEVER);
      await rejection(bytesOf(response.chunks), 'NETWORK');
    });

    it('tells a path that cannot be sent as a fault', async (t) => {
      const server = await serve(t, (_request, response) => response.end());
      const sent = localTransport(t).send(get(server.url, { rawPath: '/a\u0100' }), NEVER);
      await rejection(sent, 'NETWORK');
      assert.equal(server.seen.length, 0);
    });

    it('repeats once what a kept connection lost, and only that', async (t) => {
      let connections = 0;
      const url = await tcp(t, (socket) => {
        connections += 1;
        const resets = connections === 1;
        let requests = 0;
        socket.on('data', () => {
          requests += 1;
          if (resets && requests === 2) socket.resetAndDestroy();
          else socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
        });
      });
      const door = localTransport(t);
      await readBody(await door.send(get(url), NEVER), 10);
      await readBody(await door.send(get(url), NEVER), 10);
      assert.equal(connections, 2);
      const fresh = await tcp(t, (socket) => {
        connections += 1;
        socket.on('data', () => socket.resetAndDestroy());
      });
      await rejection(door.send(get(fresh), NEVER), 'NETWORK');
      assert.equal(connections, 3);
    });

    it('knows whether all bytes were sent before an answer was lost', async (t) => {
      const server = await serve(t, (request) => {
        request.resume().on('end', () => request.socket.destroy());
      });
      const early = await tcp(t, (socket) => socket.once('data', () => socket.resetAndDestroy()));
      const door = localTransport(t);
      const whole = upload(server.url, Readable.from([Buffer.alloc(10)]), 10);
      const lost = await rejection(door.send(whole, NEVER), 'NETWORK');
      assert.equal(wasSentInFull(lost), true);
      async function* stuck(): AsyncGenerator<Buffer> {
        yield Buffer.alloc(10);
        await new Promise((resolve) => setTimeout(resolve, 10_000).unref());
      }
      const half = upload(early, Readable.from(stuck()), 20);
      const broken = await rejection(door.send(half, NEVER), 'NETWORK');
      assert.equal(wasSentInFull(broken), false);
    });

    it('speaks to no private address that is not named, and opens no connection to find out', async (t) => {
      const server = await serve(t, (_request, response) => response.end());
      const rules = { privateHosts: new Set([server.host]), loopback: false };
      const port = server.host.split(':')[1] ?? '';
      const door = localTransport(t, { addresses: rules });
      await readBody(await door.send(get(server.url), NEVER), 10);
      assert.equal(server.connections(), 1);
      for (const name of ['localhost', '127.0.0.2', '0x7f.2'])
        await rejection(door.send(get(`http://${name}:${port}/`), NEVER), 'ADDRESS_REFUSED');
      assert.equal(server.connections(), 1);
    });

    it('guard proxy-variables: goes to the registry itself, whatever proxy is named', async (t) => {
      const proxy = await serve(t, (_request, response) => response.end('from the proxy'));
      const server = await serve(t, (_request, response) => response.end('from the registry'));
      const names = ['HTTP_PROXY', 'http_proxy', 'HTTPS_PROXY', 'https_proxy'];
      withEnvironment(t, Object.fromEntries(names.map((name) => [name, proxy.url])));
      const response = await localTransport(t).send(get(server.url), NEVER);
      assert.equal(String(await bytesOf(response.chunks)), 'from the registry');
      assert.equal(proxy.connections(), 0);
    });

    it('keeps what it presents out of its faults', async (t) => {
      const url = await tcp(t, (socket) => socket.once('data', () => socket.resetAndDestroy()));
      const fault = await rejection(
        localTransport(t).send(
          get(url, { headers: { authorization: 'Bearer top-secret' } }),
          NEVER,
        ),
        'NETWORK',
      );
      assert.ok(!inspect(fault, { depth: 10 }).includes('top-secret'));
      assert.ok(!JSON.stringify(fault).includes('top-secret'));
    });
  });

  describe(`odd HTTP, in ${kind}`, () => {
    const BODY = '{"tags":["v1"]}';
    const LENGTH = `Content-Length: ${BODY.length}\r\n`;
    const CHUNKS = `${BODY.length.toString(16)}\r\n${BODY}\r\n0\r\n\r\n`;
    const OK = 'HTTP/1.1 200 OK\r\n';

    /** A server that answers each request with these bytes; what it was asked, and over how many connections. */
    async function raw(
      t: TestContext,
      bytes: string | ((method: string, write: (text: string) => void) => void),
    ): Promise<{ readonly url: string; readonly requests: string[]; connections: number }> {
      const seen = { url: '', requests: new Array<string>(), connections: 0 };
      seen.url = await tcp(t, (socket) => {
        seen.connections += 1;
        let text = '';
        socket.on('data', (data) => {
          text += data.toString('latin1');
          const heads = text.split('\r\n\r\n');
          text = heads.pop() ?? '';
          for (const head of heads) {
            const [method = ''] = head.split(' ', 1);
            seen.requests.push(head);
            if (typeof bytes === 'function') bytes(method, (part) => socket.write(part));
            else socket.write(Buffer.from(bytes, 'latin1'));
          }
        });
      });
      return seen;
    }

    async function read(door: Transport, url: string): Promise<string> {
      return String(await readBody(await door.send(get(url), NEVER), 1000));
    }

    for (const [what, bytes] of [
      ['lines that end with LF alone', `HTTP/1.1 200 OK\n${LENGTH.replace('\r', '')}\n${BODY}`],
      ['one such line', `${OK}x-a: b\n${LENGTH}\r\n${BODY}`],
      ['a value on two lines', `${OK}x-a: b\r\n c\r\n${LENGTH}\r\n${BODY}`],
      [
        'chunks and a length',
        `${OK}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n${CHUNKS}`,
      ],
      ['a later HTTP/1', `HTTP/1.2 200 OK\r\n${LENGTH}\r\n${BODY}`],
    ] as const) {
      it(`is read where it has one meaning: ${what}`, async (t) => {
        const server = await raw(t, bytes);
        const door = localTransport(t);
        assert.equal(await read(door, server.url), BODY);
        const put = { method: 'PUT', body: Buffer.from('x') } as const;
        const answer = await door.send(get(server.url, put), NEVER);
        await readBody(answer, 1000);
        assert.equal(answer.status, 200);
        const length = bytes.includes('chunked') ? undefined : String(BODY.length);
        assert.equal(answer.header('content-length'), length);
        // Once more the first time, and never two exchanges on one connection.
        assert.equal(server.requests.length, 3);
        assert.equal(server.connections, 3);
        const later = server.requests.slice(1);
        assert.ok(later.every((head) => /\r\nconnection: close/i.test(head)));
      });
    }

    it('is read the second time where it stands in the middle of a body', async (t) => {
      const spaced = CHUNKS.replace('\r\n', '  \r\n');
      const server = await raw(t, `${OK}Transfer-Encoding: chunked\r\n\r\n${spaced}`);
      const door = localTransport(t);
      await rejection(read(door, server.url), 'NETWORK');
      assert.equal(await read(door, server.url), BODY);
    });

    it('is not sent again where that may not be', async (t) => {
      const server = await raw(t, `HTTP/1.1 201 Created\ncontent-length: 0\n\n`);
      const door = localTransport(t);
      const once = get(server.url, { mayRepeat: () => false });
      await rejection(door.send(once, NEVER), 'NETWORK');
      assert.equal(server.requests.length, 1);
      const bytes = (): Readable => Readable.from([Buffer.from('x')]);
      const other = await raw(t, `HTTP/1.1 201 Created\ncontent-length: 0\n\n`);
      await rejection(door.send(upload(other.url, bytes(), 1), NEVER), 'NETWORK');
      assert.equal(other.requests.length, 1);
      const stream = upload(server.url, bytes(), 1);
      const answer = await door.send(stream, NEVER);
      await readBody(answer, 1000);
      assert.equal(answer.status, 201);
    });

    for (const [what, place, bytes] of [
      ['a space before the colon', "in the header 'x-a '", `${OK}x-a : b\r\n${LENGTH}\r\n${BODY}`],
      ['a space in a name', "in the header 'x a'", `${OK}x a: secret\r\n${LENGTH}\r\n${BODY}`],
      ['no colon', 'in line 2 of what came', `${OK}secret\r\n${LENGTH}\r\n${BODY}`],
      ['CR alone', "in the header 'x-a'", `${OK}x-a: b\rc\r\n${LENGTH}\r\n${BODY}`],
      ['a length twice', "in the header 'Content-Length'", `${OK}${LENGTH}${LENGTH}\r\n${BODY}`],
      [
        'two lengths',
        "in the header 'Content-Length'",
        `${OK}${LENGTH}Content-Length: 3\r\n\r\n${BODY}`,
      ],
      ['an empty length', "in the header 'Content-Length'", `${OK}Content-Length: \r\n\r\n${BODY}`],
      ['a control character', "in the header 'x-a'", `${OK}x-a: b\u0001c\r\n${LENGTH}\r\n${BODY}`],
      [
        'two spaces before the status',
        'in the status line',
        `HTTP/1.1  200 OK\r\n${LENGTH}\r\n${BODY}`,
      ],
      ['another protocol', 'in line 1 of what came', `ICY 200 OK\r\n${LENGTH}\r\n${BODY}`],
    ] as const) {
      it(`is refused where it has two meanings or none, and says where: ${what}`, async (t) => {
        const server = await raw(t, bytes);
        const fault = await rejection(read(localTransport(t), server.url), 'RESPONSE_INVALID');
        assert.ok(fault.message.includes(place), fault.message);
        assert.match(fault.message, /a proxy before it, is to be mended$/);
        assert.doesNotMatch(fault.message, /secret/);
        assert.equal(server.requests.length, 1);
      });
    }

    it('guard odd-header: lets no control character through with what it reads', async (t) => {
      const server = await raw(t, `${OK}x-a: b\n${LENGTH}x-b: secret\u0001\r\n\r\n${BODY}`);
      const fault = await rejection(read(localTransport(t), server.url), 'RESPONSE_INVALID');
      assert.match(fault.message, /'x-b' has control characters/);
    });

    it('guard odd-header: reads no body whose end a name with a space decides', async (t) => {
      const server = await raw(t, `HTTP/1.1 200 OK\nContent-Length : 3\n\n${BODY}`);
      const fault = await rejection(read(localTransport(t), server.url), 'RESPONSE_INVALID');
      assert.match(fault.message, /'Content-Length ?' has a space in its name/);
    });

    it('guard odd-coding: reads no body whose end another coding decides', async (t) => {
      const server = await raw(t, `${OK}${LENGTH}Transfer-Encoding: identity\r\n\r\n${BODY}`);
      const fault = await rejection(read(localTransport(t), server.url), 'RESPONSE_INVALID');
      assert.match(fault.message, /transfer coding 'identity'/);
    });

    it('takes a whole answer, whatever bytes come after it', async (t) => {
      for (const close of ['', 'Connection: close\r\n']) {
        const server = await raw(t, `${OK}${close}${LENGTH}\r\n${BODY}{"more":1}`);
        const door = localTransport(t);
        for (let time = 0; time < 3; time += 1) assert.equal(await read(door, server.url), BODY);
        // What came after an answer is nobody's: its connection is not used again.
        assert.equal(server.connections, 3);
      }
    });

    it('takes the answer to a HEAD that has a body, at once or later', async (t) => {
      for (const isLate of [false, true]) {
        const server = await raw(t, (method, write) => {
          write(`${OK}${LENGTH}\r\n${method === 'HEAD' && isLate ? '' : BODY}`);
          if (method === 'HEAD' && isLate) setImmediate(write, BODY);
        });
        const door = localTransport(t);
        for (let time = 0; time < 5; time += 1) {
          const head = await door.send(get(server.url, { method: 'HEAD' }), NEVER);
          assert.equal(head.header('content-length'), String(BODY.length));
          assert.equal((await readBody(head, 1000)).length, 0);
          assert.equal(await read(door, server.url), BODY);
        }
      }
    });
  });
}
