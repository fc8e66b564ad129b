import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isRepositoryName, isTag } from '../../stand-ins/registry/names.ts';

describe('repository name', () => {
  for (const name of ['a', 'org/app', 'a.b/c-d/e__f', 'a--b', '0/1']) {
    it(`may be ${name}`, () => {
      assert.ok(isRepositoryName(name));
    });
  }
  for (const name of ['', 'A', 'a//b', '/a', 'a/', 'a..b', '-a', 'a/../b', 'a'.repeat(256)]) {
    it(`is not '${name.slice(0, 10)}'`, () => {
      assert.ok(!isRepositoryName(name));
    });
  }
});

describe('tag', () => {
  for (const tag of ['v1', '_x', 'A.b-C_d', 'a'.repeat(128)]) {
    it(`may be ${tag.slice(0, 10)}`, () => {
      assert.ok(isTag(tag));
    });
  }
  for (const tag of ['', '-a', '.a', 'a/b', 'a b', 'a'.repeat(129)]) {
    it(`is not '${tag.slice(0, 10)}'`, () => {
      assert.ok(!isTag(tag));
    });
  }
});
