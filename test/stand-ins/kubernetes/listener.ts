import { createServer, type RequestListener, type Server } from 'node:http';

import { closed, listen } from '../http.ts';

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
export async function openListener(handler: RequestListener): Promise<Listener> {
  let server: Server | undefined = createServer(handler);
  const port = await listen(server);
  return {
    port,
    halt: async () => {
      const halted = server;
      server = undefined;
      if (halted !== undefined) await closed(halted);
    },
    resume: async () => {
      if (server !== undefined) return;
      server = createServer(handler);
      await listen(server, port);
    },
  };
}
