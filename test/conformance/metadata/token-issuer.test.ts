import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { TokenIssuer } from '../../stand-ins/metadata/token-issuer.ts';

describe('token issuer', () => {
  it('knows whose token it minted, until it expires', () => {
    let nowMs = 1000;
    const issuer = new TokenIssuer({ lifetimeSeconds: 10, clock: () => nowMs });
    const { token, expiresMs } = issuer.mint('a@b');
    assert.match(token, /^ya29\./);
    assert.equal(expiresMs, 11_000);
    assert.deepEqual(issuer.verify(token), { email: 'a@b' });
    nowMs = 11_000;
    assert.equal(issuer.verify(token), undefined);
  });

  it('mints another token each time, and revokes all at once', () => {
    const issuer = new TokenIssuer({ clock: () => 0 });
    const first = issuer.mint('a@b').token;
    assert.notEqual(issuer.mint('a@b').token, first);
    issuer.revokeAll();
    assert.equal(issuer.verify(first), undefined);
    assert.ok(issuer.verify(issuer.mint('a@b').token));
  });

  it('agrees with another issuer of the same secret, not with others', () => {
    const { token } = new TokenIssuer({ secret: 's' }).mint('a@b');
    assert.deepEqual(new TokenIssuer({ secret: 's' }).verify(token), { email: 'a@b' });
    assert.equal(new TokenIssuer().verify(token), undefined);
    assert.equal(new TokenIssuer().verify('ya29.nonsense'), undefined);
  });
});
