import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { describe, it } from 'node:test';
import { textOf, exchange } from '../../stand-ins/verifier/http-exchange.ts';
import { selfSignedCertificate } from '../../stand-ins/registry/certificate.ts';
import { start } from './loopback.ts';

describe('certificate', () => {
  it('vouches for itself and its names', () => {
    const { cert } = selfSignedCertificate(['registry.local', '127.0.0.1', '10.1.2.3']);
    const read = new X509Certificate(cert);
    assert.ok(read.verify(read.publicKey));
    assert.ok(read.ca);
    assert.equal(read.checkHost('registry.local'), 'registry.local');
    assert.equal(read.checkIP('10.1.2.3'), '10.1.2.3');
    assert.equal(read.checkHost('other.local'), undefined);
  });

  it('serves https to those who trust it, and nobody else', async (t) => {
    const tls = selfSignedCertificate();
    const registry = await start(t, { tls });
    assert.match(registry.url, /^https:/);
    assert.match(registry.downloadUrl, /^https:/);
    const address = new URL(`${registry.url}/v2/`);
    const answer = await exchange(address, { method: 'GET', ca: tls.cert });
    assert.equal(await textOf(answer), '{}\n');
    await assert.rejects(exchange(address, { method: 'GET' }), {
      code: 'DEPTH_ZERO_SELF_SIGNED_CERT',
    });
  });
});
