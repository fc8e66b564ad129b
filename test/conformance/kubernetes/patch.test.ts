import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { applyPatch, jsonPatch, mergePatch } from '../../stand-ins/kubernetes/patch.ts';
import { refusal } from './fixtures.ts';

describe('a merge patch', () => {
  // The examples of RFC 7386, appendix A.
  for (const [target, patch, expected] of [
    [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
    [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
    [{ a: 'b' }, { a: null }, {}],
    [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
    [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
    [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
    [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
    [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
    [
      ['a', 'b'],
      ['c', 'd'],
      ['c', 'd'],
    ],
    [{ a: 'b' }, ['c'], ['c']],
    [{ a: 'foo' }, null, null],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [[1, 2], { a: 'b', c: null }, { a: 'b' }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ] as const) {
    it(`makes ${JSON.stringify(expected)} of ${JSON.stringify(target)}`, () => {
      assert.deepEqual(mergePatch(target, patch), expected);
    });
  }
});

describe('a JSON patch', () => {
  for (const [target, patch, expected] of [
    [{ a: 1 }, [{ op: 'add', path: '/b', value: 2 }], { a: 1, b: 2 }],
    [{ a: [1, 3] }, [{ op: 'add', path: '/a/1', value: 2 }], { a: [1, 2, 3] }],
    [{ a: [1] }, [{ op: 'add', path: '/a/-', value: 2 }], { a: [1, 2] }],
    [{ a: 1 }, [{ op: 'replace', path: '/a', value: 2 }], { a: 2 }],
    [{ a: [1, 2] }, [{ op: 'replace', path: '/a/0', value: 3 }], { a: [3, 2] }],
    [{ a: [1, 2] }, [{ op: 'remove', path: '/a/0' }], { a: [2] }],
    [{ a: { 'b/c': 1 } }, [{ op: 'remove', path: '/a/b~1c' }], { a: {} }],
    [{ a: 1 }, [{ op: 'move', from: '/a', path: '/b' }], { b: 1 }],
    [{ a: { b: 1 } }, [{ op: 'copy', from: '/a', path: '/c' }], { a: { b: 1 }, c: { b: 1 } }],
    [{ a: 1 }, [{ op: 'test', path: '/a', value: 1 }], { a: 1 }],
    [{ a: 1 }, [{ op: 'replace', path: '', value: { b: 2 } }], { b: 2 }],
  ] as const) {
    it(`makes ${JSON.stringify(expected)} of ${JSON.stringify(target)}`, () => {
      const before = structuredClone(target);
      assert.deepEqual(jsonPatch(target, patch), expected);
      assert.deepEqual(target, before);
    });
  }

  for (const [patch, code] of [
    [{ op: 'add' }, 400],
    [[{ op: 'add' }], 400],
    [[{ op: 'other', path: '/a' }], 400],
    [[{ op: 'remove', path: '/none' }], 422],
    [[{ op: 'replace', path: '/none', value: 1 }], 422],
    [[{ op: 'test', path: '/a', value: 2 }], 422],
    [[{ op: 'add', path: '/a/b', value: 2 }], 422],
    [[{ op: 'add', path: '/list/7', value: 2 }], 422],
  ] as const) {
    it(`is refused: ${JSON.stringify(patch)}`, () => {
      assert.throws(() => jsonPatch({ a: 1, list: [1] }, patch), refusal(code));
    });
  }
});

describe('a patch', () => {
  it('is read by its media type, which the kind must take', () => {
    const patch = { a: null };
    assert.deepEqual(applyPatch({ a: 1 }, 'application/merge-patch+json', patch, true), {});
    assert.deepEqual(
      applyPatch({ a: 1 }, 'application/strategic-merge-patch+json', patch, false),
      {},
    );
    const operations = [{ op: 'remove', path: '/a' }];
    assert.deepEqual(applyPatch({ a: 1 }, 'application/json-patch+json', operations, true), {});
    for (const [type, custom] of [
      ['application/strategic-merge-patch+json', true],
      ['application/apply-patch+yaml', false],
      ['application/json', false],
    ] as const) {
      assert.throws(() => applyPatch({ a: 1 }, type, patch, custom), refusal(415));
    }
  });
});
