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

  it('guard page-origin: goes to no other origin and with no user', () => {
    for (const target of [
      'https://evil.org/v2/',
      'https://r.example.com:444/',
      '//evil.org/',
      'https://169.254.169.254/',
      'https://u@r.example.com/x',
      'https://:p@r.example.com/x',
    ]) {
      thrown(() => pages().next(PAGE, next(target)), 'PAGINATION_REFUSED');
    }
  });

  it('guard page-link: does not take a page for the last whose Link cannot be read', () => {
    for (const link of ['/v2/a/tags/list?last=b; rel="next"', '</x>; rel="prev", ?last=b'])
      thrown(() => pages().next(PAGE, link), 'PAGINATION_REFUSED');
    assert.equal(pages().next(PAGE, `${next('?last=b')}, broken`)?.search, '?last=b');
  });

  it('stays with https where an https registry names its next page by http', () => {
    const https = pages().next(PAGE, next('http://r.example.com/v2/a/tags/list?last=b'));
    assert.equal(https?.href, 'https://r.example.com/v2/a/tags/list?last=b');
    const plain = new URL('http://r.example.com/v2/a/tags/list');
    assert.equal(pages().next(plain, next('?last=b'))?.href, `${plain.href}?last=b`);
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
