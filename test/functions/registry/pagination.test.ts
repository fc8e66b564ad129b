import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { type FaultCode } from '../../../functions/fault.ts';
import { pages } from '../../../functions/registry/pagination.ts';
import { thrown } from '../../faults.ts';

const PAGE = new URL('https://r.example.com/v2/a/tags/list?n=2');

function next(target: string): string {
  return `<${target}>; rel="next"`;
}

function refuses(code: FaultCode, action: () => unknown): void {
  thrown(action, code);
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
      'https://u:p@r.example.com/x',
    ]) {
      refuses('PAGINATION_REFUSED', () => pages().next(PAGE, next(target)));
    }
  });

  it('guard page-link: does not take a page for the last whose Link cannot be read', () => {
    for (const link of ['/v2/a/tags/list?last=b; rel="next"', '</x>; rel="prev", ?last=b'])
      refuses('PAGINATION_REFUSED', () => pages().next(PAGE, link));
  });

  it('guard page-downgrade: refuses http from an https registry and names the proxy', () => {
    refuses('INSECURE_REFUSED', () =>
      pages().next(PAGE, next('http://r.example.com/v2/a/tags/list?last=b')),
    );
  });

  it('guard page-repetition: does not go in circles', () => {
    const walk = pages();
    const second = walk.next(PAGE, next('?last=b'));
    refuses('PAGINATION_REFUSED', () => walk.next(second ?? PAGE, next('?last=b')));
    refuses('PAGINATION_REFUSED', () => walk.next(second ?? PAGE, next('?n=2')));
  });

  it('guard page-count: ends an endless list', () => {
    const walk = pages(3);
    let page = PAGE;
    for (let number = 1; number < 3; number++)
      page = walk.next(page, next(`?last=${number}`)) ?? PAGE;
    refuses('PAGINATION_REFUSED', () => walk.next(page, next('?last=more')));
  });

  it('refuses a next page that is no URL', () => {
    refuses('PAGINATION_REFUSED', () => pages().next(PAGE, next('https://[')));
  });
});
