import type { Readable } from 'node:stream';

import { Fault } from '../../functions/fault.ts';
import { ManagedFieldsFilter } from './managed-fields.ts';

/** Largest watch event that is read: etcd takes objects of 1.5 MiB, JSON may escape them. */
const MAX_LINE_BYTES = 16 * 1024 * 1024;

/**
 * Lines of a stream of JSON objects as they arrive, without their line end and without the elements
 * of `managedFields`; an unfinished last one is dropped.
 * @throws Fault `RESPONSE_TOO_LARGE` for a line of over 16 MiB
 */
export async function* readLines(stream: Readable): AsyncGenerator<string> {
  const filter = new ManagedFieldsFilter();
  let rest: Buffer[] = [];
  let restBytes = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    const kept = filter.push(chunk);
    let start = 0;
    for (let end = kept.indexOf(10); end !== -1; end = kept.indexOf(10, start)) {
      const piece = kept.subarray(start, end);
      yield rest.length === 0
        ? piece.toString('utf8')
        : Buffer.concat([...rest, piece]).toString('utf8');
      rest = [];
      restBytes = 0;
      start = end + 1;
    }
    if (start < kept.length) {
      rest.push(kept.subarray(start));
      restBytes += kept.length - start;
      if (restBytes > MAX_LINE_BYTES) {
        throw new Fault('RESPONSE_TOO_LARGE', 'a watch event has over 16 MiB', {
          operation: 'read watch event',
        });
      }
    }
  }
}
