import type { Readable } from 'node:stream';

import { Fault } from '../../functions/fault.ts';

/** Largest watch event that is read: etcd takes objects of 1.5 MiB, JSON may escape them. */
const MAX_LINE_BYTES = 16 * 1024 * 1024;

/** Lines of a stream as they arrive, without their line end; an unfinished last one is dropped. */
export async function* readLines(stream: Readable): AsyncGenerator<string> {
  let rest: Buffer[] = [];
  let restBytes = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    let start = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
      const piece = chunk.subarray(start, end);
      yield rest.length === 0
        ? piece.toString('utf8')
        : Buffer.concat([...rest, piece]).toString('utf8');
      rest = [];
      restBytes = 0;
      start = end + 1;
    }
    if (start < chunk.length) {
      rest.push(chunk.subarray(start));
      restBytes += chunk.length - start;
      if (restBytes > MAX_LINE_BYTES) {
        throw new Fault('RESPONSE_TOO_LARGE', 'a watch event has over 16 MiB', {
          operation: 'read watch event',
        });
      }
    }
  }
}
