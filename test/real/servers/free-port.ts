import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/**
 * Ports below the range from which Linux takes the ports of outgoing connections and of listeners on
 * port 0 (32768-60999, ip(7) `ip_local_port_range`), so that a port that was free a moment ago, or
 * that a restarting server has left, is not handed to somebody else meanwhile.
 */
const lowestPort = 20_000;
const highestPort = 32_000;

/** Tries before giving up; one is nearly always enough. */
const tries = 50;

/** A port on 127.0.0.1 that nobody listens on now. Throws an Error when none was free. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < tries; attempt += 1) {
    const port = randomInt(lowestPort, highestPort);
    if (await isFree(port)) return port;
  }
  throw new Error(`no free port after ${tries} tries`);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => {
      resolve(false);
    });
    server.listen(port, '127.0.0.1', () => {
      server.close(() => {
        resolve(true);
      });
    });
  });
}
