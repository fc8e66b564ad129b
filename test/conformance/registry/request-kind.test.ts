import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { requestKind } from '../../stand-ins/registry/request-kind.ts';

describe('request kind', () => {
  for (const [path, kind] of [
    ['/v2/', 'ping'],
    ['/v2', 'ping'],
    ['/v2/token', 'token'],
    ['/token', 'token'],
    ['/v2/_catalog', 'catalog'],
    ['/v2/a/b/tags/list', 'tags'],
    ['/v2/a/b/manifests/v1', 'manifest'],
    ['/v2/a/manifests/b/manifests/v1', 'manifest'],
    ['/v2/a/blobs/uploads', 'upload'],
    ['/v2/a/blobs/uploads/', 'upload'],
    ['/v2/a/blobs/uploads/id', 'upload'],
    ['/artifacts-uploads/namespaces/p/repositories/r/uploads/id', 'upload'],
    ['/v2/a/blobs/sha256:00', 'blob'],
    ['/v2/a/referrers/sha256:00', 'referrers'],
    ['/artifacts-downloads/namespaces/p/repositories/r/downloads/id', 'download'],
    ['/blob-downloads/id', 'download'],
    ['/v1/projects/p/locations/l/repositories/r/packages/a/tags', 'api'],
    ['/favicon.ico', 'other'],
  ] as const) {
    it(`of ${path} is ${kind}`, () => {
      assert.equal(requestKind(path), kind);
    });
  }
});
