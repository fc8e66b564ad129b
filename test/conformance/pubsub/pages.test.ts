import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { pageOf } from '../../stand-ins/pubsub/pages.ts';

const all = Array.from({ length: 250 }, (_unused, index) => index);

describe('pages', () => {
  it('cover everything once', () => {
    const seen: number[] = [];
    let pageToken = '';
    let pages = 0;
    do {
      const page = pageOf(all, { pageSize: 60, pageToken });
      seen.push(...page.entries);
      pageToken = page.nextPageToken;
      pages += 1;
    } while (pageToken !== '');
    assert.deepEqual(seen, all);
    assert.equal(pages, 5);
  });

  it('are of 100 entries where nothing is said', () => {
    const { entries, nextPageToken } = pageOf(all, { pageSize: 0, pageToken: '' });
    assert.equal(entries.length, 100);
    assert.equal(nextPageToken, '100');
  });

  it('end without a token', () => {
    assert.equal(pageOf(all, { pageSize: 250, pageToken: '' }).nextPageToken, '');
    assert.deepEqual(pageOf([], { pageSize: 10, pageToken: '' }).entries, []);
  });

  for (const request of [
    { pageSize: -1, pageToken: '' },
    { pageSize: 1, pageToken: 'nonsense' },
  ]) {
    it(`refuses ${JSON.stringify(request)}`, () => {
      assert.throws(() => pageOf(all, request), { name: 'Refusal', status: 'INVALID_ARGUMENT' });
    });
  }
});
