import { Fault, toFault } from '../fault.ts';
import type { TagListing } from '../mirror/ports.ts';
import { isTag } from '../oci/reference.ts';
import { manifestMap } from './artifact-registry.ts';
import type { AccessScope } from './authorizer.ts';
import type { RegistryClient } from './client.ts';
import { failure, located, type Answer } from './failure.ts';
import { pages } from './pagination.ts';
import { TagList, type TagPage } from './tag-list.ts';

/** Largest page: a page of 10,000 multi-arch tags with Artifact Registry's map has 12 MiB. */
const MAX_PAGE_BYTES = 32 * 1024 * 1024;
/**
 * Most values of one page, counted by the commas and brackets of its text: parsed, each takes up to
 * 64 bytes. A page of 10,000 tags with Artifact Registry's map has 200,000; registries without pages
 * give all their tags in one.
 */
const MAX_PAGE_VALUES = 2_000_000;

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
 * @throws Fault `LIST_TOO_LARGE` over the limits of {@link TagList}
 */
export async function listTags(
  list: ListTags,
  signal: AbortSignal,
): Promise<TagListing | undefined> {
  const found = new TagList();
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
    try {
      found.add(readPage(answer, list));
      target = walk.next(answer.url, answer.header('link'));
    } catch (error) {
      throw located(toFault(error, 'list tags'), asked(list), answer.url);
    }
  }
  return found.listing();
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

function readPage(answer: Answer, list: ListTags): TagPage {
  requireFewValues(answer.body);
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
    sizeBytes: answer.body.length,
  };
}

/** Millions of empty lists fit into one page; they are refused before they are parsed. */
function requireFewValues(body: Buffer): void {
  let values = 0;
  for (const byte of body) {
    if (byte === COMMA || byte === OPEN_BRACKET || byte === OPEN_BRACE) values += 1;
  }
  // guard: page-values
  if (values > MAX_PAGE_VALUES)
    throw new Fault('LIST_TOO_LARGE', `a page of the list of tags has ${values} values`);
}

const [COMMA, OPEN_BRACKET, OPEN_BRACE] = Buffer.from(',[{');

function asked(list: ListTags): {
  readonly operation: string;
  readonly side: RegistryClient['side'];
} {
  return { operation: 'list tags', side: list.client.side };
}
