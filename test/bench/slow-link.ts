import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

/** A link to a server that all connections share. */
export interface SlowLink {
  /** `127.0.0.1:PORT` */
  readonly host: string;
  /** Bytes that went to the server so far, those of broken requests too. */
  readonly sentBytes: number;
  close(): Promise<void>;
}

/** What one connection may send before the next one has its turn. */
const TURN_BYTES = 16 * 1024;

/** Opens a link that carries `bytesPerSecond` towards `target` (`HOST:PORT`), and back at any rate. */
export async function openSlowLink(target: string, bytesPerSecond: number): Promise<SlowLink> {
  const { hostname, port } = new URL(`tcp://${target}`);
  const sockets = new Set<Socket>();
  let sentBytes = 0;
  let freeAtMs = performance.now();

  async function carry(client: Socket, server: Socket): Promise<void> {
    for await (const chunk of client as AsyncIterable<Buffer>) {
      for (let at = 0; at < chunk.length; at += TURN_BYTES) {
        const part = chunk.subarray(at, at + TURN_BYTES);
        freeAtMs = Math.max(freeAtMs, performance.now()) + (part.length * 1000) / bytesPerSecond;
        await pause(freeAtMs - performance.now());
        sentBytes += part.length;
        server.write(part);
      }
    }
    server.end();
  }

  const link = createServer((client) => {
    const server = connect(Number(port), hostname);
    for (const socket of [client, server]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        sockets.delete(socket);
        client.destroy();
        server.destroy();
      });
    }
    server.pipe(client);
    carry(client, server).catch(() => {
      server.destroy();
    });
  });
  link.listen(0, '127.0.0.1');
  await once(link, 'listening');
  return {
    host: `127.0.0.1:${(link.address() as AddressInfo).port}`,
    get sentBytes() {
      return sentBytes;
    },
    async close() {
      link.close();
      for (const socket of sockets) socket.destroy();
      await once(link, 'close');
    },
  };
}
