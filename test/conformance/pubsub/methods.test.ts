import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { decorated, resourceOf, type Decorator } from '../../stand-ins/pubsub/methods.ts';

describe('decorated methods', () => {
  it('pass through the decorators, the first outermost', () => {
    const passed: string[] = [];
    const noting =
      (note: string): Decorator =>
      (name, method) =>
      (request, call) => {
        passed.push(`${note} ${name}`);
        return method(request, call);
      };
    const { Publish: publish } = decorated({ Publish: (request) => ({ request }) }, [
      noting('outer'),
      noting('inner'),
    ]);
    const call = { signal: new AbortController().signal };
    assert.deepEqual(publish?.('asked' as never, call), { request: 'asked' });
    assert.deepEqual(passed, ['outer Publish', 'inner Publish']);
  });
});

describe('resource of a request', () => {
  const cases = [
    [{ topic: 'projects/p/topics/abc', messages: [] }, 'projects/p/topics/abc'],
    [{ topic: { name: 'projects/p/topics/abc' } }, 'projects/p/topics/abc'],
    [{ subscription: 'projects/p/subscriptions/abc' }, 'projects/p/subscriptions/abc'],
    [
      { subscription: { name: 'projects/p/subscriptions/abc', topic: '' } },
      'projects/p/subscriptions/abc',
    ],
    [{ resource: 'projects/p/topics/abc' }, 'projects/p/topics/abc'],
    [{ name: 'projects/p/topics/abc' }, 'projects/p/topics/abc'],
    [{ project: 'projects/p' }, 'projects/p'],
    [{}, ''],
  ] as const;
  for (const [request, resource] of cases) {
    it(`is '${resource}' in ${JSON.stringify(request)}`, () => {
      assert.equal(resourceOf(request), resource);
    });
  }
});
