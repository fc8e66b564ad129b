import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { describe, it } from 'node:test';

import { isOpen } from '../../../functions/registry/failure.ts';
import {
  bodyBytes,
  isReplayable,
  type RegistryRequest,
} from '../../../functions/registry/request.ts';

const ASKED: RegistryRequest = {
  kind: 'blob',
  operation: 'get blob',
  method: 'GET',
  target: '/v2/',
  scope: undefined,
};

describe('request', () => {
  it('is sent again where nothing flows', () => {
    const stream = { ...ASKED, body: { stream: Readable.from([]), sizeBytes: 7 } };
    assert.deepEqual([ASKED, { ...ASKED, body: Buffer.alloc(3) }, stream].map(isReplayable), [
      true,
      true,
      false,
    ]);
    assert.deepEqual(
      [ASKED, { ...ASKED, body: Buffer.alloc(3) }, stream].map(bodyBytes),
      [0, 3, 7],
    );
  });

  it('tells an open answer from one that was read', () => {
    const shared = { status: 200, header: () => undefined, url: new URL('http://r/') };
    assert.equal(isOpen({ ...shared, body: Buffer.alloc(0) }), false);
    const chunks = Readable.from([]) as AsyncIterable<Buffer>;
    assert.equal(isOpen({ ...shared, chunks, discard: () => undefined }), true);
  });
});
