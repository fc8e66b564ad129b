import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import { MirrorError, type ErrorCode } from '../../../functions/errors.ts';
import { digestOf } from '../../../functions/oci/digest.ts';
import type { RegistryClient } from '../../../functions/registry/client.ts';
import { newHostMemory } from '../../../functions/registry/host-capabilities.ts';
import { markSentInFull } from '../../../functions/registry/sent-in-full.ts';
import { isApiAddress, uploadBlob, withDigest } from '../../../functions/registry/uploads.ts';
import { rejection, thrown } from '../../faults.ts';
import { NEVER } from './setting.ts';

const DIGEST = digestOf(Buffer.from('x'));

/**
 * Uploads a byte for a minute, and so long after it comes the fault; the seconds after that in which the blob is
 * looked for, which never comes. Time passes as soon as somebody waits for it.
 */
async function looksAfter(
  code: ErrorCode,
  waitedMs: number,
  { inFull = true, force = false } = {},
): Promise<readonly number[]> {
  let nowMs = 0;
  const looksMs: number[] = [];
  const url = new URL('https://r.example.com/v2/a/blobs/uploads/');
  const client: Pick<RegistryClient, 'ask' | 'side' | 'registry'> = {
    side: 'destination',
    registry: new URL('https://r.example.com'),
    ask({ method, body }) {
      const answer = { header: () => '/v2/a/blobs/uploads/1', body: Buffer.alloc(0), url };
      if (method === 'POST') return Promise.resolve({ ...answer, status: 202 });
      if (method === 'HEAD') {
        looksMs.push(nowMs);
        return Promise.resolve({ ...answer, status: 404 });
      }
      nowMs += 60_000;
      if (body !== undefined && !Buffer.isBuffer(body)) body.onBytes?.(1);
      nowMs += waitedMs;
      const fault = new MirrorError(code, 'lost');
      if (inFull) markSentInFull(fault);
      return Promise.reject(fault);
    },
  };
  const memory = { ...newHostMemory(), singlePostRefused: true };
  memory.noMountsUntilMs.set('itself', Infinity);
  const scope = { path: 'a', actions: 'pull,push' } as const;
  const upload = uploadBlob(
    {
      target: { client: client as RegistryClient, path: 'a', scope, memory },
      memory,
      timing: {
        now: () => nowMs,
        setTimer(delayMs, action) {
          const timer = setImmediate(() => {
            nowMs += delayMs;
            action();
          });
          return () => {
            clearImmediate(timer);
          };
        },
      },
      google: false,
    },
    { mediaType: 'x', digest: DIGEST, sizeBytes: 1 },
    () => Promise.resolve(Readable.from([Buffer.from('x')])),
    { force },
    NEVER,
  );
  await rejection(upload, code);
  return looksMs.map((atMs) => (atMs - 60_000 - waitedMs) / 1000);
}

describe('uploads', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['https://r/v2/a/blobs/uploads/1', `https://r/v2/a/blobs/uploads/1?digest=${DIGEST}`],
    ['https://r/u?_state=a%20b~c(d)', `https://r/u?_state=a%20b~c(d)&digest=${DIGEST}`],
    ['https://r/u?a=b+c&sig=%2F%3D#part', `https://r/u?a=b+c&sig=%2F%3D&digest=${DIGEST}`],
  ];
  for (const [location, expected] of cases) {
    it(`appends the digest to ${location}`, () => {
      assert.equal(withDigest(new URL(location), DIGEST).href, expected);
    });
  }

  it('leaves any session’s text as it is', () => {
    fc.assert(
      fc.property(fc.webUrl({ withQueryParameters: true }), (text) => {
        const location = new URL(text);
        assert.ok(withDigest(location, DIGEST).href.startsWith(location.href));
      }),
    );
  });

  it('appends nothing that is no digest', () => {
    thrown(() => withDigest(new URL('https://r/u'), 'sha256:x&evil=1'), 'DIGEST_INVALID');
  });

  it('looks for a blob whose answer did not come: once, or for five minutes where it was waited for', async () => {
    const minutes = [0, 1, 3, 7, 15, 31, 61, 91, 121, 151, 181, 211, 241, 271];
    for (const code of ['NETWORK', 'TIMEOUT'] as const) {
      assert.deepEqual(await looksAfter(code, 9_999), [0]);
      assert.deepEqual(await looksAfter(code, 10_000), minutes);
      assert.deepEqual(await looksAfter(code, 10_000, { inFull: false }), []);
    }
    assert.deepEqual(await looksAfter('SERVER_ERROR', 9_999), []);
    assert.deepEqual(await looksAfter('SERVER_ERROR', 10_000), minutes);
    // Another may have brought what may not be written again.
    assert.deepEqual(await looksAfter('REQUEST_REFUSED', 10_000), [0]);
    assert.deepEqual(await looksAfter('REQUEST_REFUSED', 10_000, { force: true }), []);
    assert.deepEqual(await looksAfter('FORBIDDEN', 10_000), []);
  });

  it('tells the registry’s API from Artifact Registry’s upload service', () => {
    assert.ok(isApiAddress(new URL('https://r/v2/a/blobs/uploads/1')));
    assert.ok(
      !isApiAddress(new URL('https://r/artifacts-uploads/namespaces/p/repositories/r/uploads/1')),
    );
  });
});
