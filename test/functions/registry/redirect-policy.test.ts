import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  isRedirect,
  keepsMethod,
  nextHop,
  uploadLocation,
} from '../../../functions/registry/redirect-policy.ts';
import { thrown } from '../../faults.ts';

const BLOB = new URL('https://r.example.com/v2/a/blobs/sha256:00');
const PORT = new URL('https://r.example.com:5000/v2/a/blobs/sha256:00');
const PLAIN = new URL('http://r.example.com:5000/v2/a/blobs/sha256:00');

function hop(
  location: string | undefined,
  changes: Partial<Parameters<typeof nextHop>[0]> = {},
): ReturnType<typeof nextHop> {
  return nextHop({
    from: BLOB,
    location,
    method: 'GET',
    hops: 0,
    credentialsOrigin: 'https://r.example.com',
    ...changes,
  });
}

describe('redirect policy', () => {
  it('guard redirect-authorization: keeps authorization for the exact origin only', () => {
    const cases: readonly (readonly [string, boolean])[] = [
      ['/v2/a/other', true],
      ['https://r.example.com/x', true],
      ['https://R.EXAMPLE.com:443/x', true],
      ['https://r.example.com:444/x', false],
      ['https://cdn.example.com/x', false],
      ['https://r.example.com.evil.org/x', false],
      ['//evil.org/x', false],
    ];
    for (const [location, authorize] of cases)
      assert.equal(hop(location).authorize, authorize, location);
  });

  it('gives authorization back on the way home', () => {
    const from = new URL('https://cdn.example.com/x');
    assert.equal(hop('https://r.example.com/x', { from }).authorize, true);
    assert.equal(hop('/y', { from }).authorize, false);
  });

  it('lets http go to https, and stay http', () => {
    const credentialsOrigin = PLAIN.origin;
    assert.equal(
      hop('https://cdn.example.com/', { from: PLAIN, credentialsOrigin }).authorize,
      false,
    );
    assert.equal(hop('/x', { from: PLAIN, credentialsOrigin }).authorize, true);
  });

  it('guard redirect-downgrade: refuses https to http elsewhere and names the proxy', () => {
    for (const elsewhere of ['http://s.example.com/x', 'http://r.example.com:5000/x'])
      thrown(() => hop(elsewhere), 'INSECURE_REFUSED');
    assert.throws(() => hop('http://s.example.com/x'), /TLS, s\.example\.com: .*proxy/);
  });

  it('stays with https where an https registry names itself by http', () => {
    const own = hop('http://r.example.com/x?a=%7eb');
    assert.deepEqual([own.url.href, own.authorize], ['https://r.example.com/x?a=%7eb', true]);
    assert.equal(hop('http://r.example.com:443/x').url.href, 'https://r.example.com/x');
    const session = uploadLocation(BLOB, 'http://r.example.com/v2/a/blobs/uploads/1');
    assert.equal(session.url.href, 'https://r.example.com/v2/a/blobs/uploads/1');
    assert.equal(hop('http://r.example.com:5000/x', { from: PORT }).url.href, `${PORT.origin}/x`);
  });

  it('guard redirect-method: refuses to send a body elsewhere', () => {
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
      thrown(() => hop('/x', { method }), 'REDIRECT_REFUSED');
      for (const elsewhere of ['https://cdn.example.com/x', 'https://r.example.com:444/x'])
        thrown(() => hop(elsewhere, { method, mayResend: true }), 'REDIRECT_REFUSED');
      assert.equal(hop('/x', { method, mayResend: true }).authorize, true);
    }
    hop('/x', { method: 'HEAD' });
    hop('https://cdn.example.com/x', { mayResend: true });
  });

  it('guard redirect-hops: follows five and no sixth', () => {
    hop('/x', { hops: 4 });
    thrown(() => hop('/x', { hops: 5 }), 'REDIRECT_REFUSED');
  });

  it('guard redirect-scheme: follows to the web only', () => {
    for (const location of [
      'file:///etc/passwd',
      'ftp://r.example.com/',
      'data:text/plain,x',
      'unix:/run/x.sock',
    ]) {
      thrown(() => hop(location), 'REDIRECT_REFUSED');
    }
  });

  it('guard redirect-userinfo: follows to no URL with a user', () => {
    thrown(() => hop('https://user:pass@cdn.example.com/'), 'REDIRECT_REFUSED');
    thrown(() => hop('https://user@cdn.example.com/'), 'REDIRECT_REFUSED');
  });

  it('refuses a redirect without a usable Location', () => {
    thrown(() => hop(undefined), 'REDIRECT_REFUSED');
    thrown(() => hop('https://['), 'REDIRECT_REFUSED');
  });

  it('keeps path and query as they came, where the parser would write them anew', () => {
    const signed = '/a%7eb/c\'d|e/../f?sig={x}%2f%3D&q="y"~';
    for (const [location, rawPath] of [
      [`https://cdn.example.com${signed}`, signed],
      [`//cdn.example.com${signed}#part`, signed],
      [signed, signed],
      ['https://cdn.example.com/plain?a=b', undefined],
      ['https://cdn.example.com', undefined],
      ['https://cdn.example.com?a=|', undefined],
      ['next?a=|', undefined],
      ['/with space|', undefined],
      ['/\u00c3\u00bc{}', '/%C3%BC{}'],
      ['/\u00fc', undefined],
      ['/\\evil.example.com/x|', undefined],
      ['///evil.example.com/x|', undefined],
      ['https:/x|', undefined],
    ] as const) {
      assert.equal(hop(location).rawPath, rawPath, location);
      assert.equal(uploadLocation(BLOB, location).rawPath, rawPath, location);
    }
  });

  it('escapes bytes beyond ASCII one by one', () => {
    for (const { url } of [
      hop('/\u00c3\u00bc?a=\u00e9'),
      uploadLocation(BLOB, '/\u00c3\u00bc?a=\u00e9'),
    ])
      assert.equal(`${url.pathname}${url.search}`, '/%C3%BC?a=%E9');
  });

  it('knows the statuses', () => {
    assert.deepEqual(
      [200, 300, 301, 302, 303, 304, 307, 308].filter(isRedirect),
      [301, 302, 303, 307, 308],
    );
    assert.deepEqual([301, 302, 303, 307, 308, 309].filter(keepsMethod), [307, 308]);
  });
});

describe('upload location', () => {
  it('guard upload-authorization: keeps authorization at the origin, and goes without elsewhere', () => {
    assert.deepEqual(uploadLocation(BLOB, '/artifacts-uploads/x'), {
      url: new URL('https://r.example.com/artifacts-uploads/x'),
      authorize: true,
    });
    assert.equal(uploadLocation(BLOB, 'https://storage.example.com/x').authorize, false);
  });

  it('guard upload-downgrade: refuses http elsewhere from an https registry and names the proxy', () => {
    thrown(() => uploadLocation(BLOB, 'http://s.example.com/x'), 'INSECURE_REFUSED');
    assert.throws(() => uploadLocation(BLOB, 'http://s.example.com/x'), /proxy/);
  });

  it('guard upload-location: sends no bytes to another host without TLS', () => {
    for (const location of [
      'http://evil.example.com/x',
      'http://r.example.com:5001/x',
      'ftp://x/y',
    ]) {
      thrown(() => uploadLocation(PLAIN, location), 'REDIRECT_REFUSED');
    }
  });

  it('goes on without TLS where it began without', () => {
    assert.equal(uploadLocation(PLAIN, '/v2/app/session').authorize, true);
  });

  it('guard upload-userinfo: goes to no URL with a user', () => {
    thrown(() => uploadLocation(BLOB, 'https://user:pass@r.example.com/x'), 'REDIRECT_REFUSED');
  });

  it('refuses to go nowhere', () => {
    thrown(() => uploadLocation(BLOB, undefined), 'REDIRECT_REFUSED');
  });
});
