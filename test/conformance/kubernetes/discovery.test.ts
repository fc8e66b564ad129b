import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { discovery } from '../../stand-ins/kubernetes/discovery.ts';
import { imageRepositories, resources } from '../../stand-ins/kubernetes/resource.ts';

function at(path: string, served = resources): unknown {
  return discovery(path, served, { kind: 'CustomResourceDefinition' }, '127.0.0.1:1');
}

describe('discovery', () => {
  it('leads from the groups to their resources', () => {
    const { groups } = at('/apis') as {
      readonly groups: readonly {
        readonly versions: readonly { readonly groupVersion: string }[];
      }[];
    };
    const versions = groups.flatMap((group) => group.versions.map((each) => each.groupVersion));
    assert.ok(versions.includes('image.toolkit.fluxcd.io/v1'));
    for (const version of versions) {
      const list = at(`/apis/${version}`) as { readonly kind: string };
      assert.equal(list.kind, 'APIResourceList', version);
      const group = at(`/apis/${version.replace('/v1', '')}`) as { readonly kind: string };
      assert.equal(group.kind, 'APIGroup', version);
    }
  });

  it('names resources and their status', () => {
    const names = (path: string): readonly string[] =>
      (at(path) as { readonly resources: readonly { readonly name: string }[] }).resources.map(
        ({ name }) => name,
      );
    assert.deepEqual(names('/apis/image.toolkit.fluxcd.io/v1'), [
      'imagerepositories',
      'imagerepositories/status',
    ]);
    assert.deepEqual(names('/api/v1'), ['namespaces', 'secrets', 'events']);
  });

  it('knows no group without resources', () => {
    const without = resources.filter((each) => each !== imageRepositories);
    assert.equal(at('/apis/image.toolkit.fluxcd.io/v1', without), undefined);
    assert.equal(at('/apis/image.toolkit.fluxcd.io', without), undefined);
    for (const path of ['/apis/v1', '/api/image.toolkit.fluxcd.io/v1', '/other', '/apis/none']) {
      assert.equal(at(path), undefined, path);
    }
  });

  it('shows version, core group and the CustomResourceDefinition', () => {
    const crds = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
    assert.equal((at('/version') as { readonly major: string }).major, '1');
    assert.deepEqual((at('/api') as { readonly versions: unknown }).versions, ['v1']);
    assert.equal((at(crds) as { readonly items: readonly unknown[] }).items.length, 1);
    assert.deepEqual(at(`${crds}/imagerepositories.image.toolkit.fluxcd.io`), {
      kind: 'CustomResourceDefinition',
    });
  });
});
