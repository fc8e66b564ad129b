import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { judgeRealm, requireTrustedRealm } from '../../../functions/registry/realm-policy.ts';
import { thrown } from '../../faults.ts';

const REGISTRY = new URL('https://r.example.com');
const PLAIN = new URL('http://127.0.0.1:5000');

function trusted(realm: string, registry: URL = REGISTRY, shared = false): boolean {
  return judgeRealm(realm, registry, () => shared).trusted;
}

function refused(action: () => unknown): void {
  thrown(action, 'REALM_REFUSED');
}

describe('token realm', () => {
  it('is trusted with credentials on the registry’s host, at a known partner, or where they are the same', () => {
    const hub = new URL('https://index.docker.io');
    assert.ok(trusted('https://r.example.com/token'));
    assert.ok(trusted('https://r.example.com:5001/auth'));
    assert.ok(trusted('https://auth.docker.io/token', hub));
    assert.ok(trusted('https://gitlab.com/jwt/auth', new URL('https://registry.gitlab.com')));
    assert.ok(trusted('https://auth.example.com/token', REGISTRY, true));
    assert.ok(trusted('http://127.0.0.1:5001/token', PLAIN));
  });

  it('is not trusted with them elsewhere', () => {
    for (const realm of [
      'https://evil.org/token',
      'https://auth.docker.io/token',
      'https://r.example.com.evil.org/',
      'https://example.com/token',
      'https://sub.r.example.com/',
    ]) {
      assert.ok(!trusted(realm), realm);
    }
    assert.ok(!trusted('https://auth.docker.io:444/token', new URL('https://index.docker.io')));
  });

  it('guard token-realm-host: gets no credentials where it is not trusted', () => {
    refused(() => {
      requireTrustedRealm(
        judgeRealm('https://evil.org/token', REGISTRY, () => false),
        REGISTRY,
      );
    });
    requireTrustedRealm(
      judgeRealm('https://r.example.com/token', REGISTRY, () => false),
      REGISTRY,
    );
  });

  it('guard token-realm-https: is asked over TLS, except by a registry that has none, on its host', () => {
    for (const [realm, registry] of [
      ['http://r.example.com/token', REGISTRY],
      ['http://auth.example.com/token', PLAIN],
      ['http://169.254.169.254/computeMetadata/v1/', PLAIN],
      ['file:///etc/passwd', REGISTRY],
    ] as const) {
      refused(() => judgeRealm(realm, registry, () => true));
    }
  });

  it('guard token-realm-userinfo: has no user in its URL', () => {
    refused(() => judgeRealm('https://user:pass@r.example.com/token', REGISTRY, () => true));
    refused(() => judgeRealm('https://user@r.example.com/token', REGISTRY, () => true));
  });

  it('is a URL', () => {
    refused(() => judgeRealm(undefined, REGISTRY, () => true));
    refused(() => judgeRealm('/token', REGISTRY, () => true));
  });
});
