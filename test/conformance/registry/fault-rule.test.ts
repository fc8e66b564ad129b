import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FaultRules, type FaultRule } from '../../stand-ins/registry/fault-rule.ts';
import type { RegistryRequest } from '../../stand-ins/registry/exchange.ts';

const EFFECT = { kind: 'answer', status: 503 } as const;

function requestOf(method: string, url: string): RegistryRequest {
  const [path = '', rawQuery = ''] = url.split('?');
  return {
    method,
    path,
    rawQuery,
    query: new URLSearchParams(rawQuery),
    headers: {},
    origin: '',
    body: (async function* () {
      await Promise.resolve();
      yield Buffer.alloc(0);
    })(),
  };
}

const MANIFEST = requestOf('GET', '/v2/a/manifests/v1');
const UPLOAD = requestOf('PUT', '/v2/a/blobs/uploads/id?digest=sha256:1');

describe('fault rule', () => {
  const cases: readonly (readonly [string, Omit<FaultRule, 'effect'>, boolean, boolean])[] = [
    ['no condition', {}, true, true],
    ['a method', { method: 'PUT' }, false, true],
    ['a kind', { kind: 'manifest' }, true, false],
    ['a path with its query', { path: /digest=sha256/ }, false, true],
    ['a predicate', { when: ({ method }) => method === 'GET' }, true, false],
    ['several conditions', { method: 'PUT', kind: 'manifest' }, false, false],
  ];
  for (const [name, conditions, manifest, upload] of cases) {
    it(`strikes by ${name}`, () => {
      const struck = [MANIFEST, UPLOAD].map((request) => {
        const rules = new FaultRules();
        rules.add({ ...conditions, effect: EFFECT });
        return rules.take(request) !== undefined;
      });
      assert.deepEqual(struck, [manifest, upload]);
    });
  }

  it('skips, strikes a number of times, and is then used up', () => {
    const rules = new FaultRules();
    const fault = rules.add({ skip: 2, times: 2, effect: EFFECT });
    const struck = Array.from({ length: 6 }, () => rules.take(MANIFEST) !== undefined);
    assert.deepEqual(struck, [false, false, true, true, false, false]);
    assert.equal(fault.struck, 2);
  });

  it('gives way to the next one once it is used up, removed or cleared', () => {
    const rules = new FaultRules();
    const second = { kind: 'answer', status: 500 } as const;
    const first = rules.add({ times: Infinity, effect: EFFECT });
    rules.add({ times: Infinity, effect: second });
    assert.equal(rules.take(MANIFEST), EFFECT);
    first.remove();
    assert.equal(rules.take(MANIFEST), second);
    rules.clear();
    assert.equal(rules.take(MANIFEST), undefined);
    assert.equal(rules.struck, 2);
  });
});
