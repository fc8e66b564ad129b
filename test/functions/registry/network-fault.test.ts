import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { inspect } from 'node:util';

import { Fault, type FaultCode } from '../../../functions/fault.ts';
import { errorCode, networkFault } from '../../../functions/registry/network-fault.ts';

function failed(code: string, message = 'failed'): Error {
  const inner = Object.assign(new Error(message), { code });
  return Object.assign(new Error(message, { cause: inner }), {
    code: 'ERR_GOT_REQUEST_ERROR',
    options: { headers: { authorization: 'Bearer top-secret' } },
  });
}

describe('network fault', () => {
  const codes: readonly (readonly [string, FaultCode])[] = [
    ['ECONNREFUSED', 'NETWORK'],
    ['ECONNRESET', 'NETWORK'],
    ['ENOTFOUND', 'NETWORK'],
    ['CERT_HAS_EXPIRED', 'CERTIFICATE_REFUSED'],
    ['DEPTH_ZERO_SELF_SIGNED_CERT', 'CERTIFICATE_REFUSED'],
    ['ERR_TLS_CERT_ALTNAME_INVALID', 'CERTIFICATE_REFUSED'],
    ['ERR_SSL_WRONG_VERSION_NUMBER', 'TLS_REFUSED'],
    ['ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE', 'NETWORK'],
    ['ETIMEDOUT', 'TIMEOUT'],
    ['HPE_HEADER_OVERFLOW', 'RESPONSE_TOO_LARGE'],
    ['HPE_INVALID_CONSTANT', 'RESPONSE_INVALID'],
  ];
  for (const [code, expected] of codes) {
    it(`takes ${code} as ${expected}`, () => {
      assert.equal(networkFault(failed(code)).code, expected);
      assert.equal(errorCode(failed(code)), code);
    });
  }

  it("says nothing in OpenSSL's words", () => {
    const said = '10:error:0A00010B:SSL routines:ssl3_get_record:wrong version number:ssl/x.c:355:';
    const fault = networkFault(failed('EPROTO', said));
    assert.equal(fault.code, 'TLS_REFUSED');
    assert.doesNotMatch(fault.message, /routines|ssl\/x/);
  });

  it('gives on the fault that it finds within', () => {
    const fault = new Fault('ADDRESS_REFUSED', 'private');
    assert.equal(
      networkFault(new Error('outer', { cause: new Error('inner', { cause: fault }) })),
      fault,
    );
  });

  it('guard raw-error: gives on nothing but code and message', () => {
    const shown = inspect(networkFault(failed('ECONNRESET')), { depth: 10 });
    assert.ok(!shown.includes('top-secret'));
  });

  it('guard control-characters: says what the other side said in plain characters', () => {
    assert.equal(networkFault(failed('X', 'a\u0007b')).message, 'a b (X)');
  });

  it('takes anything that is thrown', () => {
    assert.equal(networkFault('text').code, 'NETWORK');
    assert.equal(networkFault(undefined).code, 'NETWORK');
  });
});
