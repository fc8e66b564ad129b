import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A listening server that can be cut off from the world and come back on the same port. */
export interface Listener {
  /** Stays the same over restarts. */
  readonly port: number;
  /** Ends all connections at once and refuses new ones. */
  halt(): Promise<void>;
  /** Listens again on the same port; nothing happens where it listens. */
  resume(): Promise<void>;
}

/** Listens on a free port of 127.0.0.1. */
export async function listen(handler: RequestListener): Promise<Listener> {
  let server: Server | undefined = await open(handler, 0);
  const { port } = server.address() as AddressInfo;
  return {
    port,
    halt: async () => {
      const halted = server;
      server = undefined;
      if (halted === undefined) return;
      await new Promise((resolve) => {
        halted.close(resolve);
        halted.closeAllConnections();
      });
    },
    resume: async () => {
      server ??= await open(handler, port);
    },
  };
}

function open(handler: RequestListener, port: number): Promise<Server> {
  const server = createServer(handler);
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      server.removeListener('error', reject);
      resolve(server);
    });
  });
}
