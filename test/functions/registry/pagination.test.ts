import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { pages } from '../../../functions/registry/pagination.ts';
import { thrown } from '../../faults.ts';

const PAGE = new URL('https://r.example.com/v2/a/tags/list?n=2');

function next(target: string): string {
  return `<${target}>; rel="next"`;
}

describe('pagination', () => {
  it('follows relative and absolute links at the same origin, and ends without one', () => {
    const walk = pages();
    const second = walk.next(PAGE, next('/v2/a/tags/list?n=2&last=b'));
    assert.equal(second?.href, 'https://r.example.com/v2/a/tags/list?n=2&last=b');
    const third = walk.next(second, next('https://r.example.com/v2/a/tags/list?last=c'));
    assert.equal(third?.search, '?last=c');
    assert.equal(walk.next(third, undefined), undefined);
    assert.equal(walk.next(third, '</x>; rel="prev"'), undefined);
  });

  it('guard page-origin: asks for the page that is named elsewhere where this one came from', () => {
    for (const named of [
      'http://r.example.com',
      'https://R.Example.COM:443',
      'http://r.example.com:443',
      'https://r.example.com:444',
      'http://registry.internal:5000',
      'https://169.254.169.254',
      '//evil.org',
      'https://u@r.example.com',
      'https://:p@r.example.com',
    ]) {
      const url = pages().next(PAGE, next(`${named}/v2/a/tags/list?n=2&last=b#c`));
      assert.equal(url?.href, 'https://r.example.com/v2/a/tags/list?n=2&last=b', named);
    }
    for (const [target, path] of [
      ['https://r.example.com//evil.org/x?y', '//evil.org/x?y'],
      ['file:///etc/passwd', '/etc/passwd'],
      ['mailto:a@evil.org', '/a@evil.org'],
    ] as const)
      assert.equal(pages().next(PAGE, next(target))?.href, `https://r.example.com${path}`);
  });

  it('guard page-link: does not take a page for the last whose Link cannot be read', () => {
    for (const link of ['/v2/a/tags/list?last=b; rel="next"', '</x>; rel="prev", ?last=b'])
      thrown(() => pages().next(PAGE, link), 'PAGINATION_REFUSED');
    assert.equal(pages().next(PAGE, `${next('?last=b')}, broken`)?.search, '?last=b');
  });

  it('guard page-repetition: does not go in circles', () => {
    const walk = pages();
    const second = walk.next(PAGE, next('?last=b'));
    thrown(() => walk.next(second ?? PAGE, next('?last=b')), 'PAGINATION_REFUSED');
    thrown(() => walk.next(second ?? PAGE, next('?n=2')), 'PAGINATION_REFUSED');
  });

  it('guard page-count: ends an endless list', () => {
    const walk = pages(3);
    let page = PAGE;
    for (let number = 1; number < 3; number++)
      page = walk.next(page, next(`?last=${number}`)) ?? PAGE;
    thrown(() => walk.next(page, next('?last=more')), 'PAGINATION_REFUSED');
  });

  it('refuses a next page that is no URL', () => {
    thrown(() => pages().next(PAGE, next('https://[')), 'PAGINATION_REFUSED');
  });
});
