import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  acceptedMetadata,
  isLabelValue,
  isQualifiedName,
  mergedMetadata,
} from '../../stand-ins/kubernetes/metadata.ts';
import { imageRepositories } from '../../stand-ins/kubernetes/resource.ts';
import { refusal, stored } from './fixtures.ts';

describe('metadata', () => {
  it('keeps what a client may say and no more', () => {
    const metadata = {
      name: 'one',
      uid: 'u',
      resourceVersion: '7',
      generation: 9,
      selfLink: '/x',
      labels: { a: '1' },
      annotations: { b: '2', c: null },
      finalizers: ['x/y'],
    };
    const { kept, name, uid, resourceVersion } = acceptedMetadata(metadata, imageRepositories);
    assert.deepEqual([name, uid, resourceVersion], ['one', 'u', '7']);
    assert.deepEqual(kept, {
      labels: { a: '1' },
      annotations: { b: '2', c: '' },
      finalizers: ['x/y'],
    });
  });

  it('has nothing where maps and lists are empty', () => {
    const empty = { name: 'one', labels: {}, annotations: null, finalizers: [] };
    assert.deepEqual(acceptedMetadata(empty, imageRepositories).kept, {});
  });

  for (const [metadata, code] of [
    ['text', 400],
    [{ name: 1 }, 400],
    [{ labels: ['a'] }, 400],
    [{ labels: { a: 1 } }, 400],
    [{ finalizers: 'x' }, 400],
    [{ finalizers: [1] }, 400],
    [{ name: 'Upper' }, 422],
    [{ name: '-a' }, 422],
    [{ name: 'a'.repeat(254) }, 422],
    [{ name: 'a', labels: { 'bad key': '' } }, 422],
    [{ name: 'a', labels: { a: 'bad value' } }, 422],
    [{ name: 'a', annotations: { 'bad key': '' } }, 422],
  ] as const) {
    it(`is refused: ${JSON.stringify(metadata).slice(0, 60)}`, () => {
      assert.throws(() => acceptedMetadata(metadata, imageRepositories), refusal(code));
    });
  }

  it('is merged so that the server keeps what is its own', () => {
    const old = stored('one', { labels: { a: '1' }, finalizers: ['x/y'], generation: 3 }).metadata;
    const { labels: _labels, finalizers: _finalizers, ...rest } = old;
    assert.deepEqual(mergedMetadata(old, { annotations: { b: '2' } }), {
      ...rest,
      annotations: { b: '2' },
    });
  });

  it('knows names and values of labels', () => {
    for (const name of ['a', 'A.b_c-d', 'example.com/x', 'sharding.fluxcd.io/key']) {
      assert.equal(isQualifiedName(name), true, name);
    }
    for (const name of ['', '-a', 'a-', 'Upper.com/x', 'a/b/c', 'x'.repeat(64)]) {
      assert.equal(isQualifiedName(name), false, name);
    }
    assert.deepEqual(['', 'a', 'a-', 'x'.repeat(64)].map(isLabelValue), [true, true, false, false]);
  });
});
