import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { openApi } from '../../stand-ins/kubernetes/openapi.ts';
import { resources } from '../../stand-ins/kubernetes/resource.ts';

interface Operations {
  readonly patch: {
    readonly parameters: readonly { readonly name: string }[];
    readonly 'x-kubernetes-group-version-kind': { readonly kind: string };
  };
}

describe('the OpenAPI document', () => {
  it('leads from its root to a document for each version', () => {
    const { paths } = openApi('/openapi/v3', resources) as {
      readonly paths: Record<string, { readonly serverRelativeURL: string }>;
    };
    for (const { serverRelativeURL } of Object.values(paths)) {
      const { pathname } = new URL(serverRelativeURL, 'http://x');
      assert.ok(openApi(pathname, resources) !== undefined, pathname);
    }
    assert.ok('apis/image.toolkit.fluxcd.io/v1' in paths);
    assert.ok('api/v1' in paths);
  });

  it('says that fields are validated by the server', () => {
    const { paths } = openApi('/openapi/v3/apis/image.toolkit.fluxcd.io/v1', resources) as {
      readonly paths: Record<string, Operations>;
    };
    const path = '/apis/image.toolkit.fluxcd.io/v1/namespaces/{namespace}/imagerepositories/{name}';
    assert.deepEqual(Object.keys(paths), [path]);
    const { patch } = paths[path]!;
    assert.equal(patch['x-kubernetes-group-version-kind'].kind, 'ImageRepository');
    assert.ok(patch.parameters.some(({ name }) => name === 'fieldValidation'));
  });

  it('is nowhere else', () => {
    for (const path of ['/openapi/v2', '/openapi/v3/apis/none/v1', '/apis']) {
      assert.equal(openApi(path, resources), undefined);
    }
  });
});
