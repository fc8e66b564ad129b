import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { describe, it } from 'node:test';

import { selfSignedCertificate } from '../../stand-ins/kubernetes/self-signed-certificate.ts';

describe('a self-signed certificate', () => {
  it('is for this machine, by itself, for a year', () => {
    const now = Date.parse('2026-06-01T00:00:00Z');
    const { cert, key } = selfSignedCertificate(now);
    const certificate = new X509Certificate(cert);
    assert.equal(certificate.checkHost('localhost'), 'localhost');
    assert.equal(certificate.checkIP('127.0.0.1'), '127.0.0.1');
    assert.equal(certificate.checkHost('example.com'), undefined);
    assert.ok(certificate.ca);
    assert.ok(certificate.verify(certificate.publicKey));
    assert.ok(certificate.checkPrivateKey(createPrivateKey(key)));
    assert.equal(Date.parse(certificate.validFrom), Date.parse('2026-05-31T00:00:00Z'));
    assert.equal(Date.parse(certificate.validTo), Date.parse('2027-06-01T00:00:00Z'));
  });

  it('is another one each time', () => {
    assert.notEqual(selfSignedCertificate().cert, selfSignedCertificate().cert);
  });
});
