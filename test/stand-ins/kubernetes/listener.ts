import { createServer, type RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Server, Socket } from 'node:net';

/** Certificate and key of an https server, PEM. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** A listening server that can be cut off from the world and come back on the same port. */
export interface Listener {
  /** Stays the same over restarts. */
  readonly port: number;
  /** Ends all connections at once and refuses new ones. */
  halt(): Promise<void>;
  /** Listens again on the same port; nothing happens where it listens. */
  resume(): Promise<void>;
}

/** Listens on 127.0.0.1; port 0 takes a free one. */
export async function listen(
  handler: RequestListener,
  port: number,
  certificate: Certificate | undefined,
): Promise<Listener> {
  let server = await open(handler, port, certificate);
  let listening = true;
  const taken = (server.address() as AddressInfo).port;
  return {
    port: taken,
    halt: async () => {
      if (!listening) return;
      listening = false;
      await server.shut();
    },
    resume: async () => {
      if (listening) return;
      server = await open(handler, taken, certificate);
      listening = true;
    },
  };
}

type Shuttable = Server & { shut(): Promise<void> };

function open(
  handler: RequestListener,
  port: number,
  certificate: Certificate | undefined,
): Promise<Shuttable> {
  const server: Server =
    certificate === undefined ? createServer(handler) : createTlsServer(certificate, handler);
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  const shut = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => {
        resolve();
      });
      for (const socket of sockets) socket.destroy();
    });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      server.removeListener('error', reject);
      resolve(Object.assign(server, { shut }));
    });
  });
}
