import { requireArgument } from './refusal.ts';
import type { WirePageRequest } from './wire.ts';

/** One page of a list. */
export interface Page<T> {
  readonly entries: readonly T[];
  /** Empty on the last page. */
  readonly nextPageToken: string;
}

/** Entries of a page where the request does not say how many, and at most. */
const DEFAULT_PAGE_SIZE = 100;
const LARGEST_PAGE_SIZE = 1_000;

/** The page that a list request asks for. @throws Refusal `INVALID_ARGUMENT` */
export function pageOf<T>(all: readonly T[], { pageSize, pageToken }: WirePageRequest): Page<T> {
  requireArgument(pageSize >= 0, `page_size is ${pageSize}`);
  requireArgument(/^\d*$/.test(pageToken), `page_token is not valid: ${pageToken}`);
  const size = Math.min(pageSize === 0 ? DEFAULT_PAGE_SIZE : pageSize, LARGEST_PAGE_SIZE);
  const start = Number(pageToken);
  const end = start + size;
  return {
    entries: all.slice(start, end),
    nextPageToken: end < all.length ? String(end) : '',
  };
}
