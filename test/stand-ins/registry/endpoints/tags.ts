import type { Call } from '../call.ts';
import type { RegistrySwitches } from '../dialect.ts';
import { jsonAnswer, type Answer, type RegistryRequest } from '../exchange.ts';
import { RegistryRefusal } from '../refusal.ts';

type PageLimits = Pick<RegistrySwitches, 'maxTagsPage' | 'defaultTagsPage'>;

/** One page of sorted names. */
export interface Page {
  readonly names: readonly string[];
  /** `Link` header to the next page; absent on the last. */
  readonly link: string | undefined;
}

/** `GET /v2/<name>/tags/list` (OCI Distribution 1.1, "Listing Tags"). */
export function listTags({ request, store, switches }: Call, repository: string): Answer {
  const tags = store.tags(repository);
  if (tags.length === 0) throw nameUnknown(repository);
  const { names, link } = page(request, tags, switches);
  return jsonAnswer(200, { name: repository, tags: names }, link === undefined ? {} : { link });
}

/**
 * The page that `n` and `last` ask for.
 * @throws RegistryRefusal `PAGINATION_NUMBER_INVALID`
 */
export function page(request: RegistryRequest, names: readonly string[], limits: PageLimits): Page {
  const wanted = pageSize(request.query.get('n'), limits);
  const last = request.query.get('last');
  const rest = last === null ? names : names.filter((name) => name > last);
  const shown = rest.slice(0, wanted);
  const end = shown.at(-1);
  const more = end !== undefined && rest.length > shown.length;
  const next = `${request.path}?last=${encodeURIComponent(end ?? '')}&n=${wanted}`;
  return { names: shown, link: more ? `<${next}>; rel="next"` : undefined };
}

function pageSize(n: string | null, limits: PageLimits): number {
  if (n === null) return limits.defaultTagsPage === 0 ? Infinity : limits.defaultTagsPage;
  const wanted = Number(n);
  if (!/^\d+$/.test(n) || (limits.maxTagsPage > 0 && wanted > limits.maxTagsPage)) {
    throw new RegistryRefusal(400, 'PAGINATION_NUMBER_INVALID', 'invalid number of results', {
      detail: { n },
    });
  }
  return wanted;
}

/** The refusal for a repository without tags. */
export function nameUnknown(repository: string): RegistryRefusal {
  return new RegistryRefusal(404, 'NAME_UNKNOWN', 'repository name not known to registry', {
    detail: { name: repository },
  });
}
