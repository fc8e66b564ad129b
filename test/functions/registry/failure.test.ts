import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { MirrorError, type ErrorCode } from '../../../functions/errors.ts';
import {
  codeOfStatus,
  failure,
  isRefusal,
  located,
  type Answer,
} from '../../../functions/registry/failure.ts';

const URL_ASKED = new URL('https://r.example.com/v2/a/blobs/uploads/session?state=secret');
const REDACTED = 'https://r.example.com/v2/a/blobs/uploads/REDACTED?state=REDACTED';
const ASKED = { operation: 'put blob', side: 'destination' } as const;
const DIGEST = `sha256:${'1'.repeat(64)}`;

function answer(status: number, errors: readonly object[] = []): Answer {
  const body = errors.length === 0 ? Buffer.alloc(0) : Buffer.from(JSON.stringify({ errors }));
  return { status, header: () => undefined, body, url: URL_ASKED };
}

describe('failure', () => {
  for (const [seconds, words] of [
    [59, undefined],
    [60, 'in 1 minutes'],
    [60.001, 'in 2 minutes'],
    [7140, 'in 119 minutes'],
    [7200, 'in 2 hours'],
    [7260, 'in 3 hours'],
    [172_740, 'in 48 hours'],
    [172_800, 'in 2 days'],
    [172_860, 'in 3 days'],
  ] as const) {
    it(`tells a pause of ${seconds} s ${words ?? 'to nobody'}`, () => {
      const { message, retryAfterMs } = failure(answer(429), ASKED, undefined, seconds * 1000);
      assert.equal(retryAfterMs, seconds * 1000);
      assert.equal(/, to be asked again (in .*)$/.exec(message)?.[1], words);
    });
  }

  const statuses: readonly (readonly [number, ErrorCode])[] = [
    [401, 'UNAUTHORIZED'],
    [403, 'FORBIDDEN'],
    [404, 'NOT_FOUND'],
    [408, 'TIMEOUT'],
    [429, 'RATE_LIMITED'],
    [400, 'REQUEST_REFUSED'],
    [418, 'REQUEST_REFUSED'],
    [500, 'SERVER_ERROR'],
    [503, 'SERVER_ERROR'],
    [204, 'RESPONSE_INVALID'],
    [304, 'RESPONSE_INVALID'],
  ];
  for (const [status, code] of statuses) {
    it(`takes ${status} as ${code}`, () => {
      assert.equal(codeOfStatus(status), code);
      assert.equal(failure(answer(status), ASKED).code, code);
    });
  }

  it('knows the statuses that refuse a question as such', () => {
    for (const status of [400, 401, 403, 404, 499, 501]) assert.ok(isRefusal(status), `${status}`);
    for (const status of [200, 202, 399, 408, 429, 500, 502, 503])
      assert.ok(!isRefusal(status), `${status}`);
  });

  it('lets the code of the body beat the status, but not make a server error permanent', () => {
    assert.equal(failure(answer(403, [{ code: 'TOOMANYREQUESTS' }]), ASKED).code, 'RATE_LIMITED');
    assert.equal(failure(answer(404, [{ code: 'DENIED' }]), ASKED).code, 'FORBIDDEN');
    assert.equal(failure(answer(400, [{ code: 'UNAUTHORIZED' }]), ASKED).code, 'UNAUTHORIZED');
    // Artifactory's virtual repositories, of what is not there.
    assert.equal(failure(answer(403, [{ code: 'UNAUTHORIZED' }]), ASKED).code, 'FORBIDDEN');
    assert.equal(failure(answer(500, [{ code: 'DENIED' }]), ASKED).code, 'SERVER_ERROR');
    assert.equal(failure(answer(403), ASKED, 'TAG_IMMUTABLE').code, 'TAG_IMMUTABLE');
    // A name that every object of the language has.
    assert.equal(failure(answer(404, [{ code: 'constructor' }]), ASKED).code, 'NOT_FOUND');
  });

  it('says what was asked, of whom, and what the registry said, with nothing secret', () => {
    const fault = failure(
      answer(400, [{ code: 'BLOB_UNKNOWN', message: 'no blob', detail: DIGEST }]),
      ASKED,
    );
    assert.deepEqual(
      [fault.operation, fault.side, fault.status, fault.registryCodes, fault.digests],
      ['put blob', 'destination', 400, ['BLOB_UNKNOWN'], [DIGEST]],
    );
    assert.equal(fault.url, REDACTED);
    assert.equal(fault.message, 'status 400: BLOB_UNKNOWN no blob');
    assert.equal(failure(answer(400, [{ message: 'no' }]), ASKED).message, 'status 400: no');
    assert.equal(failure(answer(400), ASKED).message, 'status 400');
  });

  it('completes a fault by what was asked and keeps what it knows', () => {
    const bare = located(
      new MirrorError('NETWORK', 'reset', { retryAfterMs: 5, digests: [DIGEST] }),
      ASKED,
      URL_ASKED,
    );
    assert.deepEqual(
      [bare.code, bare.operation, bare.side, bare.url, bare.retryAfterMs, bare.digests],
      ['NETWORK', 'put blob', 'destination', REDACTED, 5, [DIGEST]],
    );
    for (const part of [
      { operation: 'get blob', side: 'source' },
      { operation: 'get blob', url: 'https://s/' },
      { side: 'source', url: 'https://s/' },
    ] as const) {
      const { operation, side, url } = located(
        new MirrorError('NETWORK', 'x', part),
        ASKED,
        URL_ASKED,
      );
      assert.deepEqual({ operation, side, url }, { ...ASKED, url: REDACTED, ...part });
    }
    const known = new MirrorError('DIGEST_MISMATCH', 'x', {
      operation: 'get blob',
      side: 'source',
      url: 'https://s/',
    });
    assert.equal(located(known, ASKED, URL_ASKED), known);
    const cause = new Error('below');
    const source = located(
      new MirrorError('NETWORK', 'x', { side: 'source', field: 'f', status: 5, cause }),
      ASKED,
      URL_ASKED,
    );
    assert.deepEqual(
      [source.side, source.field, source.status, source.cause],
      ['source', 'f', 5, cause],
    );
  });
});
