import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { isTrue, requestInfo } from '../../stand-ins/kubernetes/request-info.ts';
import { groupVersion, resources } from '../../stand-ins/kubernetes/resource.ts';
import { refusal } from './fixtures.ts';

function read(method: string, path: string): string | undefined {
  const info = requestInfo(method, new URL(path, 'http://x'), resources);
  if (info === undefined) return undefined;
  const { verb, resource, namespace = '-', name = '-', subresource = '-' } = info;
  const kind = `${groupVersion(resource)}/${resource.plural}`;
  return `${verb} ${kind} ${namespace} ${name} ${subresource}`;
}

const group = '/apis/image.toolkit.fluxcd.io/v1';
const kind = 'image.toolkit.fluxcd.io/v1/imagerepositories';

describe('a request', () => {
  for (const [method, path, expected] of [
    ['GET', `${group}/imagerepositories`, `list ${kind} - - -`],
    ['GET', `${group}/imagerepositories?watch=1`, `watch ${kind} - - -`],
    ['GET', `${group}/imagerepositories?watch=false`, `list ${kind} - - -`],
    ['GET', `${group}/namespaces/a/imagerepositories/`, `list ${kind} a - -`],
    ['GET', `${group}/namespaces/a/imagerepositories/b`, `get ${kind} a b -`],
    ['GET', `${group}/namespaces/a/imagerepositories/b/status`, `get ${kind} a b status`],
    ['POST', `${group}/namespaces/a/imagerepositories`, `create ${kind} a - -`],
    ['PUT', `${group}/namespaces/a/imagerepositories/b`, `update ${kind} a b -`],
    ['PATCH', `${group}/namespaces/a/imagerepositories/b/status`, `patch ${kind} a b status`],
    ['DELETE', `${group}/namespaces/a/imagerepositories/b`, `delete ${kind} a b -`],
    ['DELETE', `${group}/namespaces/a/imagerepositories`, `deletecollection ${kind} a - -`],
    ['GET', '/api/v1/namespaces', 'list v1/namespaces - - -'],
    ['GET', '/api/v1/namespaces/a', 'get v1/namespaces - a -'],
    ['GET', '/api/v1/namespaces/a/events', 'list v1/events a - -'],
    ['GET', '/api/v1/events', 'list v1/events - - -'],
    ['GET', '/apis/events.k8s.io/v1/events', 'list events.k8s.io/v1/events - - -'],
    ['GET', `${group}/namespaces/a%2Fb/imagerepositories/c%20d`, `get ${kind} a/b c d -`],
  ] as const) {
    it(`${method} ${path} is ${expected}`, () => {
      assert.equal(read(method, path), expected);
    });
  }

  for (const path of [
    '/version',
    '/apis',
    `${group}/imagerepositories/b`,
    `${group}/things`,
    '/apis/image.toolkit.fluxcd.io/v1beta2/imagerepositories',
    '/api/v1/imagerepositories',
    `${group}/namespaces/a/imagerepositories/b/status/more`,
  ]) {
    it(`${path} is for no object`, () => {
      assert.equal(read('GET', path), undefined);
    });
  }

  it('is refused where the path and the method do not go together', () => {
    assert.throws(() => read('PUT', `${group}/namespaces/a/imagerepositories`), refusal(400));
    assert.throws(() => read('POST', `${group}/namespaces/a/imagerepositories/b`), refusal(405));
    assert.throws(
      () => read('GET', `${group}/namespaces/a/imagerepositories/b/scale`),
      refusal(404),
    );
    assert.throws(
      () => read('GET', '/apis/coordination.k8s.io/v1/namespaces/a/leases/b/status'),
      refusal(404),
    );
  });

  it('has booleans as Kubernetes reads them', () => {
    assert.deepEqual([null, 'false', '0', '', 'true', '1'].map(isTrue), [
      false,
      false,
      false,
      true,
      true,
      true,
    ]);
  });
});
