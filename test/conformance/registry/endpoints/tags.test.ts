import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ask, start, storeImage } from '../loopback.ts';

describe('tags list', () => {
  it('answers NAME_UNKNOWN for a repository with blobs and no tag', async (t) => {
    const registry = await start(t);
    registry.store.putBlob('org/app', Buffer.from('blob'));
    const answer = await ask(registry.url, 'GET', '/v2/org/app/tags/list');
    assert.equal(answer.status, 404);
    assert.deepEqual(answer.codes, ['NAME_UNKNOWN']);
  });

  it('lists in the order of bytes, whole without n', async (t) => {
    const registry = await start(t);
    for (const tag of ['b', 'a', 'B', '10', '9']) storeImage(registry, 'org/app', tag);
    const answer = await ask(registry.url, 'GET', '/v2/org/app/tags/list');
    assert.deepEqual(answer.json, { name: 'org/app', tags: ['10', '9', 'B', 'a', 'b'] });
    assert.equal(answer.headers['link'], undefined);
  });

  it('pages by n and last, with a Link on every page but the last', async (t) => {
    const registry = await start(t);
    for (let number = 10; number < 15; number++) storeImage(registry, 'org/app', `v${number}`);
    const seen: string[][] = [];
    let path: string | undefined = '/v2/org/app/tags/list?n=2';
    while (path !== undefined) {
      const answer = await ask(registry.url, 'GET', path);
      seen.push((answer.json as { tags: string[] }).tags);
      path = /^<([^>]+)>; rel="next"$/.exec(String(answer.headers['link'] ?? ''))?.[1];
    }
    assert.deepEqual(seen, [['v10', 'v11'], ['v12', 'v13'], ['v14']]);
  });

  it('pages by itself where it is told to', async (t) => {
    const registry = await start(t, { switches: { defaultTagsPage: 2 } });
    for (const tag of ['a', 'b', 'c']) storeImage(registry, 'org/app', tag);
    const answer = await ask(registry.url, 'GET', '/v2/org/app/tags/list');
    assert.deepEqual(answer.json, { name: 'org/app', tags: ['a', 'b'] });
    assert.equal(answer.headers['link'], '</v2/org/app/tags/list?last=b&n=2>; rel="next"');
  });

  for (const n of ['1001', '-1', 'x']) {
    it(`refuses n=${n} where pages have at most 1000`, async (t) => {
      const registry = await start(t, { switches: { maxTagsPage: 1000 } });
      storeImage(registry, 'org/app', 'v1');
      const answer = await ask(registry.url, 'GET', `/v2/org/app/tags/list?n=${n}`);
      assert.equal(answer.status, 400);
      assert.deepEqual(answer.codes, ['PAGINATION_NUMBER_INVALID']);
    });
  }

  it('is read, never written', async (t) => {
    const registry = await start(t);
    const answer = await ask(registry.url, 'POST', '/v2/org/app/tags/list', { body: '' });
    assert.equal(answer.status, 405);
  });
});

describe('catalog', () => {
  it('lists repositories page by page', async (t) => {
    const registry = await start(t);
    for (const name of ['b/x', 'a/y']) storeImage(registry, name, 'v1');
    const first = await ask(registry.url, 'GET', '/v2/_catalog?n=1');
    assert.deepEqual(first.json, { repositories: ['a/y'] });
    assert.equal(first.headers['link'], '</v2/_catalog?last=a%2Fy&n=1>; rel="next"');
    const second = await ask(registry.url, 'GET', '/v2/_catalog?last=a%2Fy&n=1');
    assert.deepEqual(second.json, { repositories: ['b/x'] });
  });
});
