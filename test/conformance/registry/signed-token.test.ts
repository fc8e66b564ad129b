import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { TokenSigner } from '../../stand-ins/registry/signed-token.ts';

interface Claims {
  readonly name: string;
  readonly expiresMs: number;
}

describe('signed token', () => {
  it('is read by whoever has the secret, until it expires', () => {
    let nowMs = 0;
    const clock = (): number => nowMs;
    const one = new TokenSigner<Claims>({ prefix: 'x.', clock, secret: 's' });
    const two = new TokenSigner<Claims>({ prefix: 'x.', clock, secret: 's' });
    const token = one.sign({ name: 'a', expiresMs: 10 });
    assert.ok(token.startsWith('x.'));
    assert.deepEqual(two.read(token), { name: 'a', expiresMs: 10 });
    nowMs = 10;
    assert.equal(two.read(token), undefined);
  });

  it('is refused with another secret, prefix or content', () => {
    const signer = (prefix: string, secret?: string): TokenSigner<Claims> =>
      new TokenSigner<Claims>({ prefix, clock: () => 0, secret });
    const token = signer('x.', 's').sign({ name: 'a', expiresMs: 10 });
    assert.equal(signer('x.').read(token), undefined);
    assert.equal(signer('y.', 's').read(token), undefined);
    const [payload, signature] = token.slice(2).split('.');
    assert.equal(signer('x.', 's').read(`x.${payload ?? ''}A.${signature ?? ''}`), undefined);
    assert.equal(signer('x.', 's').read('x.'), undefined);
  });
});
