import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** A proxy of connections whose network can fail without a word. */
export interface TcpProxy {
  /** `127.0.0.1:PORT` */
  readonly address: string;
  /** Connections accepted so far. */
  readonly accepted: number;
  /** Open connections stay open and pass nothing on any more, in either direction; new ones work. */
  silence(): void;
  /** From now on new connections are accepted and pass nothing on either; false: they work again. */
  silenceNew(silent: boolean): void;
  close(): Promise<void>;
}

/** Starts a proxy to `HOST:PORT`, or to whatever URL has that origin. */
export async function startTcpProxy(target: string): Promise<TcpProxy> {
  const { hostname, port } = new URL(target.includes('://') ? target : `tcp://${target}`);
  const sockets = new Set<Socket>();
  let pairs: (readonly [Socket, Socket])[] = [];
  let accepted = 0;
  let newAreSilent = false;
  const keep = (socket: Socket): void => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
  };
  const server = createServer((client) => {
    accepted += 1;
    keep(client);
    if (newAreSilent) {
      client.resume();
      return;
    }
    const upstream = connect(Number(port), hostname);
    keep(upstream);
    client.pipe(upstream);
    upstream.pipe(client);
    const end = (): void => {
      client.destroy();
      upstream.destroy();
    };
    client.on('close', end);
    upstream.on('close', end);
    pairs.push([client, upstream]);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    get accepted() {
      return accepted;
    },
    silence() {
      for (const [client, upstream] of pairs) {
        client.unpipe(upstream);
        upstream.unpipe(client);
        // Neither end hears of the other's end.
        client.removeAllListeners('close');
        upstream.removeAllListeners('close');
        client.resume();
        upstream.resume();
      }
      pairs = [];
    },
    silenceNew(silent) {
      newAreSilent = silent;
    },
    async close() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
    },
  };
}

/** Writes a kubeconfig like another whose server is reached through a proxy. */
export async function kubeconfigThrough(
  proxy: TcpProxy,
  kubeconfig: string,
  path: string,
): Promise<string> {
  const text = await readFile(kubeconfig, 'utf8');
  const written = text.replace(/(https?:\/\/)127\.0\.0\.1:\d+/, `$1${proxy.address}`);
  await writeFile(path, written, { mode: 0o600 });
  return path;
}

/** The server of a kubeconfig. */
export async function serverOf(kubeconfig: string): Promise<string> {
  const server = /https?:\/\/127\.0\.0\.1:\d+/.exec(await readFile(kubeconfig, 'utf8'))?.[0];
  if (server === undefined) throw new Error(`${kubeconfig} names no server on loopback`);
  return server;
}
