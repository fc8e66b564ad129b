import assert from 'node:assert/strict';
import { once } from 'node:events';
import {
  Agent as HttpAgent,
  createServer as createHttpServer,
  get,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { createServer as createTlsServer } from 'node:tls';

import {
  readDirectly,
  readIntoOneBuffer,
  type DirectReader,
} from '../../../functions/registry/read-buffer.ts';
import { until } from '../../until.ts';
import { TEST_TLS } from './certificate.ts';

/** A connection of an agent, and the server's end of it. */
async function connected(
  t: TestContext,
  server: Server,
  agent: HttpAgent,
): Promise<{ readonly ours: Socket; readonly theirs: Socket }> {
  readIntoOneBuffer(agent);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const accepted = once(server, agent instanceof HttpsAgent ? 'secureConnection' : 'connection');
  const at = { host: '127.0.0.1', port, ca: TEST_TLS.cert };
  const ours = agent.createConnection(at) as Socket;
  const [theirs] = (await accepted) as [Socket];
  t.after(() => {
    ours.destroy();
    theirs.destroy();
    server.close();
  });
  return { ours, theirs };
}

const KINDS = [
  ['http', () => createServer(), () => new HttpAgent()],
  [
    'https',
    () => createTlsServer({ key: TEST_TLS.key, cert: TEST_TLS.cert }),
    () => new HttpsAgent(),
  ],
] as const;

for (const [scheme, serverOf, agentOf] of KINDS) {
  describe(`a connection over ${scheme}`, () => {
    it('reads into the same memory again', async (t) => {
      const { ours, theirs } = await connected(t, serverOf(), agentOf());
      const texts: string[] = [];
      const memories = new Set<ArrayBufferLike>();
      ours.on('data', (chunk: Buffer) => {
        texts.push(String(chunk));
        memories.add(chunk.buffer);
      });
      for (const text of ['one', 'two', 'three']) {
        theirs.write(text);
        await until(() => texts.at(-1) === text);
      }
      assert.deepEqual([texts, memories.size], [['one', 'two', 'three'], 1]);
    });

    it('leaves alone what nobody has taken yet', async (t) => {
      const { ours, theirs } = await connected(t, serverOf(), agentOf());
      ours.pause();
      for (const text of ['one', 'two', 'three']) {
        const before = ours.readableLength;
        theirs.write(text);
        // Begins to read, and takes nothing.
        ours.read(0);
        await until(() => ours.readableLength === before + text.length);
      }
      assert.equal(String(ours.read()), 'onetwothree');
    });

    it('keeps of what waits its own size alone', async (t) => {
      const { ours, theirs } = await connected(t, serverOf(), agentOf());
      ours.pause();
      const before = process.memoryUsage().arrayBuffers;
      // Each is a read of its own.
      for (let n = 1; n <= 1000; n++) {
        theirs.write('a');
        ours.read(0);
        await until(() => ours.readableLength === n);
      }
      const grownBytes = process.memoryUsage().arrayBuffers - before;
      // A thousand buffers of 64 KiB would be 64 MB.
      assert.ok(grownBytes < 32_000_000, `${grownBytes} bytes`);
    });

    it('gives what comes to another reader, from within its listener alone', async (t) => {
      const { ours, theirs } = await connected(t, serverOf(), agentOf());
      const memory = Buffer.alloc(8);
      const reader: DirectReader & { leftBytes: number } = {
        leftBytes: memory.length,
        room: () => memory.subarray(-reader.leftBytes),
        took: (sizeBytes) => (reader.leftBytes -= sizeBytes) > 0,
      };
      const heard: string[] = [];
      const handed: boolean[] = [];
      ours.on('data', (chunk: Buffer) => {
        heard.push(String(chunk));
        if (heard.length === 2) handed.push(readDirectly(ours, reader));
      });
      handed.push(readDirectly(ours, reader));
      theirs.write('one');
      await until(() => heard.length === 1);
      handed.push(readDirectly(ours, reader));
      theirs.write('two');
      await until(() => heard.length === 2);
      theirs.write('12345678three');
      await until(() => reader.leftBytes === 0);
      ours.resume();
      await until(() => heard.length === 3);
      assert.deepEqual([handed, String(memory)], [[false, false, true], '12345678']);
      assert.deepEqual(heard, ['one', 'two', 'three']);
    });

    it('ends with what came before the end', async (t) => {
      const { ours, theirs } = await connected(t, serverOf(), agentOf());
      const whole = Buffer.alloc(1024 * 1024, 'abcdefg');
      theirs.end(whole);
      const chunks: Buffer[] = [];
      ours.on('data', (chunk: Buffer) => {
        chunks.push(Buffer.from(chunk));
      });
      await once(ours, 'end');
      assert.ok(Buffer.concat(chunks).equals(whole));
    });
  });
}

describe('a body', () => {
  it('is the reader’s own: the parser gives no piece of the buffer away', async (t) => {
    const parts = ['one', 'two', 'three'].map((text) => Buffer.alloc(8192, text));
    const server = createHttpServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => {
      server.closeAllConnections();
      server.close();
    });
    const agent = new HttpAgent();
    readIntoOneBuffer(agent);
    const asked = get({ agent, port: (server.address() as AddressInfo).port });
    const [, answer] = (await once(server, 'request')) as [unknown, ServerResponse];
    answer.writeHead(200, { 'content-length': 3 * 8192 });
    answer.flushHeaders();
    const [response] = (await once(asked, 'response')) as [IncomingMessage];
    const chunks: Buffer[] = [];
    response.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
    });
    const sizeBytes = (): number => chunks.reduce((sum, { length }) => sum + length, 0);
    for (const [n, part] of parts.entries()) {
      answer.write(part);
      await until(() => sizeBytes() === (n + 1) * 8192);
    }
    assert.ok(Buffer.concat(chunks).equals(Buffer.concat(parts)));
  });
});
