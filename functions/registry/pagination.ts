import { MirrorError } from '../errors.ts';
import { isBrokenLink, parseNextLink } from './link.ts';
import { redactUrl } from './redact.ts';

/** Most pages of one list: with the smallest pages seen (50), more tags than a repository can have. */
export const MAX_PAGES = 20_000;

/** Follows the pages of one list and refuses to go round in circles. */
export interface Pages {
  /**
   * Where the next page is; undefined: this was the last.
   * @throws MirrorError `PAGINATION_REFUSED`
   */
  next(page: URL, link: string | undefined): URL | undefined;
}

/** @param maxPages after which a list is refused */
export function pages(maxPages: number = MAX_PAGES): Pages {
  const seen = new Set<string>();
  return {
    next(page, link) {
      seen.add(page.href);
      const target = parseNextLink(link);
      // guard: page-link
      if (target === undefined && isBrokenLink(link))
        throw refused('has a Link header that cannot be read', page);
      if (target === undefined) return undefined;
      if (!URL.canParse(target, page.href)) throw refused('names an unusable next page', page);
      const url = atOriginOf(page, new URL(target, page)); // guard: page-origin, without: const url = new URL(target, page);
      // guard: page-repetition
      if (seen.has(url.href)) throw refused('names a page twice', page);
      // guard: page-count
      if (seen.size >= maxPages) throw refused(`has more than ${maxPages} pages`, page);
      return url;
    },
  };
}

/**
 * The next page is asked where this one was: of what the Link names only path and query count, as skopeo reads
 * it. Behind a proxy a registry knows itself by another name, scheme or port; what is at another host gets
 * neither request nor authorization.
 */
function atOriginOf(page: URL, { pathname, search }: URL): URL {
  const url = new URL(page);
  url.pathname = pathname;
  url.search = search;
  return url;
}

function refused(what: string, page: URL): MirrorError {
  return new MirrorError('PAGINATION_REFUSED', `the registry's list ${what}`, {
    url: redactUrl(page),
  });
}
