import type { Agent } from 'node:http';
import type { Duplex } from 'node:stream';

/**
 * How long an idle connection is used again, in milliseconds of the wall clock, which goes on while an
 * instance is frozen. Registries and the ways to them forget idle connections after minutes, and do
 * not say so to who was frozen meanwhile.
 */
const MAX_IDLE_MS = 60_000;

/** The idle connections of agents, which are dropped where they may be dead. */
export interface IdleConnections {
  /** Drops those that have been idle for longer than {@link MAX_IDLE_MS}. */
  dropOld(): void;
  /** Drops all of one origin. */
  dropAllOf(url: URL): void;
}

/** Watches agents that keep connections. */
export function idleConnections(agents: readonly Agent[], clock: () => number): IdleConnections {
  const idleSinceMs = new WeakMap<Duplex, number>();
  for (const agent of agents) {
    const keep = agent.keepSocketAlive.bind(agent);
    agent.keepSocketAlive = (socket) => {
      idleSinceMs.set(socket, clock());
      // eslint-disable-next-line @typescript-eslint/no-confusing-void-expression -- Node keeps the socket where this returns true; its types do not say so
      return keep(socket);
    };
  }
  const drop = (isWanted: (name: string, socket: Duplex) => boolean): void => {
    for (const { freeSockets } of agents) {
      for (const [name, sockets = []] of Object.entries(freeSockets)) {
        for (const socket of [...sockets]) if (isWanted(name, socket)) socket.destroy();
      }
    }
  };
  return {
    dropOld() {
      const nowMs = clock();
      drop((_name, socket) => nowMs - (idleSinceMs.get(socket) ?? nowMs) > MAX_IDLE_MS);
    },
    dropAllOf({ hostname, port, protocol }) {
      const host = hostname.replace(/^\[|\]$/g, '');
      // Node's name of a pool begins with host and port (Agent.getName).
      const pool = `${host}:${port === '' ? (protocol === 'https:' ? 443 : 80) : port}:`;
      drop((name) => name.startsWith(pool));
    },
  };
}
