import { Fault } from '../fault.ts';
import type { TagListing } from '../mirror/ports.ts';
import { isTag } from '../oci/reference.ts';
import { manifestMap, mergeMaps, type ReadMap } from './artifact-registry.ts';
import type { AccessScope } from './authorizer.ts';
import type { RegistryClient } from './client.ts';
import { failure, type Answer } from './failure.ts';
import { pages } from './pagination.ts';

/** Largest page: a page of 10,000 multi-arch tags with Artifact Registry's map has 12 MiB. */
const MAX_PAGE_BYTES = 32 * 1024 * 1024;
/** Most tags of one repository: beyond it a list is no list but an attack on memory. */
export const MAX_TAGS = 1_000_000;

/** How to ask for a list. */
export interface ListTags {
  readonly client: RegistryClient;
  readonly path: string;
  readonly scope: AccessScope;
  /** Page size to ask for; undefined: the registry's own. 10,000 on Google's hosts, 1,000 elsewhere (ECR allows no more). */
  readonly pageSize: number | undefined;
  /** Is told when the registry refuses to be asked for a page size (400). */
  readonly onSizeRefused: () => void;
}

/**
 * Lists all tags (OCI Distribution 1.1, "Listing Tags"), with Artifact Registry's map where the
 * answer has it. Names that break the grammar cannot be addressed and are left out.
 * @returns undefined where the repository is not there (404)
 */
export async function listTags(
  list: ListTags,
  signal: AbortSignal,
): Promise<TagListing | undefined> {
  const found = new Set<string>();
  const maps: ReadMap[] = [];
  const walk = pages();
  let target: string | URL | undefined = listPath(list.path, list.pageSize);
  for (let first = true; target !== undefined; first = false) {
    const answer = await askPage(list, target, signal);
    if (first && answer.status === 400 && list.pageSize !== undefined) {
      list.onSizeRefused();
      return listTags({ ...list, pageSize: undefined }, signal);
    }
    if (answer.status === 404 && first) return undefined;
    if (answer.status !== 200) throw failure(answer, asked(list));
    const page = readPage(answer, list);
    for (const tag of page.tags) found.add(tag);
    // guard: tag-count
    if (found.size > MAX_TAGS)
      throw new Fault('PAGINATION_REFUSED', `the registry lists more than ${MAX_TAGS} tags`);
    if (page.map !== undefined) maps.push(page.map);
    target = walk.next(answer.url, answer.header('link'));
  }
  return { tags: [...found], map: mergeMaps(maps) };
}

function listPath(path: string, pageSize: number | undefined): string {
  return `/v2/${path}/tags/list${pageSize === undefined ? '' : `?n=${pageSize}`}`;
}

function askPage(list: ListTags, target: string | URL, signal: AbortSignal): Promise<Answer> {
  return list.client.ask(
    {
      kind: 'tags',
      operation: 'list tags',
      method: 'GET',
      target,
      headers: { accept: 'application/json' },
      scope: list.scope,
      maxBytes: MAX_PAGE_BYTES,
    },
    signal,
  );
}

interface Page {
  readonly tags: readonly string[];
  readonly map: ReadMap | undefined;
}

function readPage(answer: Answer, list: ListTags): Page {
  let parsed: unknown;
  try {
    parsed = JSON.parse(answer.body.toString('utf8'));
  } catch {
    throw failure(answer, asked(list), 'RESPONSE_INVALID');
  }
  const fields = (parsed ?? {}) as Readonly<Record<string, unknown>>;
  // Docker's registry answers null for a repository without tags.
  const tags = fields['tags'] ?? [];
  if (!Array.isArray(tags)) throw failure(answer, asked(list), 'RESPONSE_INVALID');
  const named = tags.filter((tag): tag is string => typeof tag === 'string' && isTag(tag)); // guard: listed-tag, without: const named = tags;
  return {
    tags: named,
    map: manifestMap(fields, tags.length, answer.header('link') !== undefined),
  };
}

function asked(list: ListTags): {
  readonly operation: string;
  readonly side: RegistryClient['side'];
} {
  return { operation: 'list tags', side: list.client.side };
}
