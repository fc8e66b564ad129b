import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { inspect } from 'node:util';

import { MirrorError, type ErrorCode } from '../../../functions/errors.ts';
import { errorCode, networkError } from '../../../functions/registry/network-fault.ts';
import { rejection } from '../../faults.ts';
import { localTransport, NEVER, tcp } from './setting.ts';

function failed(code: string, message = 'failed'): Error {
  const inner = Object.assign(new Error(message), { code });
  return Object.assign(new Error(message, { cause: inner }), {
    code: 'ERR_GOT_REQUEST_ERROR',
    options: { headers: { authorization: 'Bearer top-secret' } },
  });
}

describe('network fault', () => {
  const codes: readonly (readonly [string, ErrorCode])[] = [
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
      assert.equal(networkError(failed(code)).code, expected);
      assert.equal(errorCode(failed(code)), code);
    });
  }

  it("says nothing in OpenSSL's words", () => {
    const said = '10:error:0A00010B:SSL routines:ssl3_get_record:wrong version number:ssl/x.c:355:';
    const fault = networkError(failed('EPROTO', said));
    assert.equal(fault.code, 'TLS_REFUSED');
    assert.doesNotMatch(fault.message, /routines|ssl\/x/);
  });

  it('gives on the fault that it finds within', () => {
    const fault = new MirrorError('ADDRESS_REFUSED', 'private');
    assert.equal(
      networkError(new Error('outer', { cause: new Error('inner', { cause: fault }) })),
      fault,
    );
  });

  it('guard raw-error: gives on nothing but code and message', () => {
    const shown = inspect(networkError(failed('ECONNRESET')), { depth: 10 });
    assert.ok(!shown.includes('top-secret'));
  });

  it('guard control-characters: says what the other side said in plain characters', () => {
    assert.equal(networkError(failed('X', 'a\u0007b')).message, 'a b (X)');
  });

  it('takes anything that is thrown', () => {
    for (const thrown of ['text', undefined]) {
      const { code, message } = networkError(thrown);
      assert.deepEqual([code, message], ['NETWORK', 'the connection failed']);
    }
    assert.match(networkError(failed('HPE_X')).message, /be read: it cannot be parsed \(HPE_X\); /);
    const coded = (code: string, cause?: Error): Error =>
      Object.assign(new Error('outer', { cause }), { code });
    assert.equal(errorCode(coded('ERR_GOT_REQUEST_ERROR')), '');
    assert.equal(errorCode(coded('ECONNRESET', new Error('inner'))), 'ECONNRESET');
  });

  it('names the header that is none, and never its value', async (t) => {
    const head = 'HTTP/1.1 200 OK\r\nx-good: 1\r\nx-bad: secret\u0001\r\ncontent-length: 0';
    const url = new URL(await tcp(t, (socket) => socket.end(`${head}\r\n\r\n`)));
    const request = { method: 'GET', url, headers: {}, budgetMs: 10_000 } as const;
    const sent = localTransport(t).send(request, NEVER);
    const fault = await rejection(sent, 'RESPONSE_INVALID');
    assert.match(fault.message, /HPE_INVALID_HEADER_TOKEN in the header 'x-bad'/);
    assert.doesNotMatch(fault.message, /secret/);
  });
});
