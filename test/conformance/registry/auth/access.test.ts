import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  accessOf,
  covers,
  readScopes,
  scopeText,
} from '../../../stand-ins/registry/auth/access.ts';
import type { RegistryRequest } from '../../../stand-ins/registry/exchange.ts';

function requestOf(method: string, url: string): RegistryRequest {
  const { pathname, searchParams, search } = new URL(url, 'http://registry');
  return {
    method,
    path: pathname,
    rawQuery: search.slice(1),
    query: searchParams,
    headers: {},
    origin: 'http://registry',
    body: (async function* () {
      await Promise.resolve();
      yield Buffer.alloc(0);
    })(),
  };
}

describe('access', () => {
  const cases = [
    ['GET', '/v2/', ''],
    ['GET', '/v2/a/b/tags/list?n=5', 'repository:a/b:pull'],
    ['HEAD', '/v2/a/manifests/v1', 'repository:a:pull'],
    ['GET', '/v2/a/referrers/sha256:00', 'repository:a:pull'],
    ['PUT', '/v2/a/manifests/v1', 'repository:a:pull,push'],
    ['POST', '/v2/a/blobs/uploads/', 'repository:a:pull,push'],
    ['PATCH', '/v2/a/blobs/uploads/id', 'repository:a:pull,push'],
    ['POST', '/v2/a/blobs/uploads/?mount=x&from=b/c', 'repository:a:pull,push repository:b/c:pull'],
    ['DELETE', '/v2/a/manifests/v1', 'repository:a:delete'],
  ] as const;
  for (const [method, url, scope] of cases) {
    it(`of ${method} ${url} is '${scope}'`, () => {
      assert.equal(scopeText(accessOf(requestOf(method, url))), scope);
    });
  }
});

describe('scopes', () => {
  it('are read from several parameters and from one with blanks', () => {
    const texts = [
      'repository:a/b:pull,push repository:c:pull',
      'registry:catalog:*',
      'repository:d:*',
    ];
    assert.deepEqual(readScopes(texts), [
      { repository: 'a/b', actions: ['pull', 'push'] },
      { repository: 'c', actions: ['pull'] },
      { repository: 'd', actions: ['pull', 'push', 'delete'] },
    ]);
  });

  it('cover what they name and nothing else', () => {
    const granted = readScopes(['repository:a:pull,push', 'repository:b:pull']);
    const needs = (scope: string): boolean => covers(granted, readScopes([scope]));
    assert.ok(needs('repository:a:push'));
    assert.ok(needs('repository:b:pull'));
    assert.ok(!needs('repository:b:push'));
    assert.ok(!needs('repository:c:pull'));
    assert.ok(covers([], []));
  });
});
