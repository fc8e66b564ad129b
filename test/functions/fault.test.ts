import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { FAULTS, Fault, isFault, printable, toFault } from '../../functions/fault.ts';

describe('fault', () => {
  it('takes its disposition and advice from the one table', () => {
    const fault = new Fault('RATE_LIMITED', 'slow down', { side: 'source', retryAfterMs: 1000 });
    assert.equal(fault.disposition, 'transient');
    assert.equal(fault.advice, FAULTS.RATE_LIMITED.advice);
    assert.equal(fault.retryAfterMs, 1000);
    assert.equal(new Fault('TAG_INVALID', 'x').disposition, 'permanent');
  });

  it('is transient for the network, 429, 5xx, and 401 and 403', () => {
    for (const code of [
      'NETWORK',
      'RATE_LIMITED',
      'SERVER_ERROR',
      'UNAUTHORIZED',
      'FORBIDDEN',
    ] as const) {
      assert.equal(FAULTS[code].disposition, 'transient', code);
    }
  });

  it('is permanent for oversized, refused and incomplete content and for broken grammar', () => {
    for (const code of [
      'MANIFEST_TOO_LARGE',
      'MANIFEST_UNSUPPORTED',
      'SOURCE_INCOMPLETE',
      'TAG_INVALID',
      'DIGEST_INVALID',
      'EVENT_INVALID',
    ] as const) {
      assert.equal(FAULTS[code].disposition, 'permanent', code);
    }
  });

  it('has an advice for every code, one sentence long', () => {
    for (const [code, { advice }] of Object.entries(FAULTS)) {
      assert.match(advice, /^[A-Z].*\.$/, code);
    }
  });

  it('is told from other errors by class and code', () => {
    const fault = new Fault('NETWORK', 'x');
    assert.ok(isFault(fault));
    assert.ok(isFault(fault, 'TIMEOUT', 'NETWORK'));
    assert.ok(!isFault(fault, 'TIMEOUT'));
    assert.ok(!isFault(new Error('x')));
  });

  it('wraps a foreign error as INTERNAL and leaves a fault alone', () => {
    const fault = new Fault('NETWORK', 'x');
    assert.equal(toFault(fault, 'copy'), fault);
    const wrapped = toFault(new TypeError('boom'), 'copy');
    assert.equal(wrapped.code, 'INTERNAL');
    assert.equal(wrapped.operation, 'copy');
    assert.ok(wrapped.cause instanceof TypeError);
    assert.equal(toFault('text', 'copy').message, 'text');
  });
});

describe('printable', () => {
  it('guard control-characters: removes control characters, line ends and direction marks', () => {
    assert.equal(printable('a\u001b[31mb\r\nc\u202ed\u2028e'), 'a [31mb c d e');
  });

  it('guard text-length: cuts at 512 characters', () => {
    const cut = printable('x'.repeat(600));
    assert.equal(cut.length, 512);
    assert.ok(cut.endsWith('…'));
    assert.equal(printable('y'.repeat(512)).length, 512);
  });
});
