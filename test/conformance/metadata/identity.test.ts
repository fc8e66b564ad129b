import assert from 'node:assert/strict';
import { createPublicKey, verify } from 'node:crypto';
import { describe, it } from 'node:test';
import { IdentitySigner } from '../../stand-ins/metadata/identity.ts';

function claimsOf(token: string): Record<string, unknown> {
  const payload = token.split('.')[1] ?? '';
  return JSON.parse(Buffer.from(payload, 'base64url').toString()) as Record<string, unknown>;
}

describe('identity token', () => {
  it('is signed for an audience and an hour', () => {
    const signer = new IdentitySigner(() => 1_700_000_000_000);
    const token = signer.sign('a@b', 'https://audience', true);
    const { aud, email, iat, exp, iss } = claimsOf(token);
    assert.deepEqual([aud, email, iss], ['https://audience', 'a@b', 'https://accounts.google.com']);
    assert.deepEqual([iat, exp], [1_700_000_000, 1_700_003_600]);
    const [head = '', payload = '', signature = ''] = token.split('.');
    const key = createPublicKey({ key: signer.jwks().keys[0] ?? {}, format: 'jwk' });
    const signed = Buffer.from(`${head}.${payload}`);
    assert.ok(verify('RSA-SHA256', signed, key, Buffer.from(signature, 'base64url')));
  });

  it('names nobody unless it is full', () => {
    assert.equal(
      claimsOf(new IdentitySigner(Date.now).sign('a@b', 'x', false))['email'],
      undefined,
    );
  });
});
