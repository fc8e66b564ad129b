import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { findEntry, plain, type Directory } from '../../stand-ins/metadata/tree.ts';

const TREE: Directory = {
  instance: {
    id: '7',
    'service-accounts': { default: { scopes: 'a\nb\n', token: () => plain('secret') } },
  },
  project: { 'numeric-project-id': '12', 'project-id': 'p' },
};

function find(path: string, query = ''): unknown {
  const entry = findEntry(TREE, path, new URLSearchParams(query));
  return typeof entry === 'object' ? entry.text : entry;
}

describe('metadata tree', () => {
  const cases: readonly (readonly [string, string, unknown])[] = [
    ['/', '', 'instance/\nproject/\n'],
    ['/instance/', '', 'id\nservice-accounts/\n'],
    ['/instance', '', 'slash'],
    ['/instance/id', '', '7'],
    ['/instance/id', 'alt=json', '"7"'],
    ['/instance/none', '', undefined],
    ['/instance/id/deeper', '', undefined],
    ['/constructor', '', undefined],
    ['/instance/service-accounts/default/token', '', 'secret'],
    ['/project/', 'recursive=true', '{"numericProjectId":12,"projectId":"p"}'],
    [
      '/instance/',
      'recursive=true',
      '{"id":"7","serviceAccounts":{"default":{"scopes":["a","b"]}}}',
    ],
  ];
  for (const [path, query, expected] of cases) {
    it(`has ${JSON.stringify(String(expected))} at ${path}${query === '' ? '' : `?${query}`}`, () => {
      assert.equal(find(path, query), expected);
    });
  }
});
