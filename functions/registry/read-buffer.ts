import type { Agent } from 'node:http';
import type { OnReadOpts, Socket } from 'node:net';

/** As much as Node asks the kernel for at once; a record of TLS has at most 16 KiB. */
const BUFFER_BYTES = 64 * 1024;

/** Takes the bytes of a connection itself, in place of those who listen to it. */
export interface DirectReader {
  /** Bytes that are still its own. From 0 on the connection is its listeners' again. */
  readonly leftBytes: number;
  /** Where the next of them go: at least one, at most `leftBytes`. */
  room(): Buffer;
  /** So many stand there now. False: no more are wanted before the connection is resumed. */
  took(sizeBytes: number): boolean;
}

const handovers = new WeakMap<Socket, (reader: DirectReader) => boolean>();

/**
 * Gives a connection's next bytes to a reader, past whoever listens. To be called while its listener is told
 * bytes: those are the last it sees.
 * @returns false where that is not so, or where other bytes wait for the listener; nothing is changed then
 */
export function readDirectly(connection: Socket, reader: DirectReader): boolean {
  return handovers.get(connection)?.(reader) ?? false;
}

/**
 * Lets each connection of an agent read into one buffer of its own, again and again (Node, `onread` of
 * `socket.connect` and `tls.connect`), where it would make a new one for each read. Node's HTTP parser
 * makes a copy of what it gives on as a body, so that nobody needs the buffer after it. With both made new
 * V8 marked the whole heap 43 times for a blob of 1 GiB over http, with one once: a third of the
 * processor time. Whoever listens to the connection itself must not write to it in between: TLS may read
 * the next record within the call.
 */
export function readIntoOneBuffer(agent: Agent): void {
  const connect = agent.createConnection.bind(agent);
  agent.createConnection = (options, callback) => {
    let memory = Buffer.allocUnsafeSlow(BUFFER_BYTES);
    let reader: DirectReader | undefined;
    let isTelling = false;
    const onread: OnReadOpts = {
      // Asked after each read where the next one goes.
      buffer: () => {
        if (reader?.leftBytes === 0) reader = undefined;
        return reader?.room() ?? memory;
      },
      callback: (sizeBytes) => {
        if (reader !== undefined) return reader.took(sizeBytes);
        const piece = memory.subarray(0, sizeBytes);
        const isTaken = socket.readableFlowing === true && !hasWaiting();
        // What waits costs its own size: records of a byte would each keep the whole buffer.
        if (!isTaken) return socket.push(Buffer.from(piece));
        isTelling = true;
        const wantsMore = socket.push(piece);
        isTelling = false;
        // Nobody listened: what came late on an idle connection.
        if (hasWaiting()) memory = Buffer.allocUnsafeSlow(BUFFER_BYTES);
        return wantsMore;
      },
    };
    const socket = connect({ ...options, onread } as typeof options, callback) as Socket;
    const hasWaiting = (): boolean => socket.readableLength > 0;
    handovers.set(socket, (next) => {
      if (isTelling) reader = next;
      return isTelling;
    });
    return socket;
  };
}
