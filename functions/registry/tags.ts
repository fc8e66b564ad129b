import { defined } from '../contract/fields.ts';
import { MirrorError, printable, toMirrorError } from '../errors.ts';
import type { ListPart, TagListing } from '../mirror/ports.ts';
import { isTag } from '../oci/reference.ts';
import { requireAbsence } from './absence.ts';
import { manifestMap } from './artifact-registry.ts';
import { asked, failure, located, type Answer, type Asked } from './failure.ts';
import { pages } from './pagination.ts';
import type { Target } from './repository.ts';
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
export interface ListTags extends Target {
  /** Page size to ask for; undefined: the registry's own. 10,000 on Google's hosts, 1,000 elsewhere (ECR allows no more). */
  readonly pageSize: number | undefined;
  /** Is told when the registry refuses to be asked for a page size (400). */
  readonly onSizeRefused: () => void;
  /** What of it is wanted. Default: all. */
  readonly part?: ListPart | undefined;
}

/**
 * Pages after each other without a name that is new; beyond it the registry goes round. One that pages over
 * manifests has empty ones where nothing is tagged: 100,000 manifests at pages of a thousand.
 */
const MAX_STALE_PAGES = 100;

/**
 * Lists all tags (OCI Distribution 1.1, "Listing Tags"), with Artifact Registry's map where the
 * answer has it. Names that break the grammar cannot be addressed: they are told apart.
 * @returns undefined where the repository is not there (404, in the registry's own form)
 * @throws MirrorError `RESPONSE_INVALID` for what is no list, `PAGINATION_REFUSED` for one without an end,
 *   `LIST_TOO_LARGE` over the limits of {@link TagList}
 */
export async function listTags(
  list: ListTags,
  signal: AbortSignal,
): Promise<TagListing | undefined> {
  const { isWanted, maxKeptBytes } = list.part ?? {};
  const about = asked(list, 'list tags');
  const found = new TagList(defined({ keptBytes: maxKeptBytes }), isWanted);
  const walk = pages();
  let stalePages = 0;
  let target: string | URL | undefined = listPath(list.path, list.pageSize);
  for (let first = true; target !== undefined; first = false) {
    const answer = await askPage(list, target, signal);
    if (first && answer.status === 400 && list.pageSize !== undefined) {
      list.onSizeRefused();
      return listTags({ ...list, pageSize: undefined }, signal);
    }
    if (answer.status === 404) {
      // Within a list nothing can be absent: what came so far is not all.
      if (!first) throw failure(answer, about, 'RESPONSE_INVALID');
      const again = (): Promise<Answer> =>
        askPage(list, listPath(list.path, list.pageSize), signal);
      await requireAbsence(list, answer, about, again, signal);
      return undefined;
    }
    // "Not implemented" refuses the list for good, as 405 does.
    if (answer.status === 501) throw failure(answer, about, 'REQUEST_REFUSED');
    if (answer.status !== 200) throw failure(answer, about);
    try {
      const page = readPage(answer, about);
      const isNew = found.add(page);
      target = walk.next(answer.url, answer.header('link'));
      stalePages = isNew ? 0 : stalePages + 1;
      if (stalePages >= MAX_STALE_PAGES && target !== undefined) {
        requireWhole(page, list);
        break;
      }
    } catch (error) {
      throw located(toMirrorError(error, 'list tags'), about, answer.url);
    }
  }
  return found.listing();
}

/**
 * A registry that pages on without new tags has told all of them where its pages are empty, or shorter
 * than was asked for. A full page that comes again and again says that there may be more.
 * @throws MirrorError `PAGINATION_REFUSED`
 */
function requireWhole({ tagCount }: Page, { pageSize }: ListTags): void {
  if (tagCount === 0 || (pageSize !== undefined && tagCount < pageSize)) return;
  throw new MirrorError(
    'PAGINATION_REFUSED',
    'the registry repeats a full page of its list without end',
  );
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

interface Page extends TagPage {
  /** Entries of the list, those that are no tags too. */
  readonly tagCount: number;
}

function readPage(answer: Answer, about: Asked): Page {
  requireFewValues(answer.body);
  let parsed: unknown;
  try {
    parsed = JSON.parse(answer.body.toString('utf8'));
  } catch {
    throw failure(answer, about, 'RESPONSE_INVALID');
  }
  const fields = parsed as Readonly<Record<string, unknown>> | null;
  const tags = listIn(fields);
  if (fields === null || !Array.isArray(tags)) throw failure(answer, about, 'RESPONSE_INVALID');
  const isNamed = (tag: unknown): tag is string => typeof tag === 'string' && isTag(tag);
  const named = tags.filter(isNamed); // guard: listed-tag, without: const named = tags;
  const invalid = tags.filter((tag) => !isNamed(tag));
  return {
    tags: named,
    invalidTags: invalid.map((tag) =>
      printable(typeof tag === 'string' ? tag : JSON.stringify(tag)),
    ),
    tagCount: tags.length,
    map: manifestMap(fields, tags.length, answer.header('link') !== undefined),
    sizeBytes: answer.body.length,
  };
}

/**
 * The list of a page, whatever the case of its key, as Go's clients read it. Docker's registry answers null for
 * a repository without tags; an object without `tags` is no list.
 */
function listIn(fields: Readonly<Record<string, unknown>> | null): unknown {
  if (typeof fields !== 'object' || fields === null) return undefined;
  const name = 'tags' in fields ? 'tags' : Object.keys(fields).find((key) => /^tags$/i.test(key));
  const list = name === undefined ? undefined : fields[name];
  return list === null ? [] : list;
}

/** Millions of empty lists fit into one page; they are refused before they are parsed. */
function requireFewValues(body: Buffer): void {
  let values = 0;
  for (const byte of body) {
    if (byte === COMMA || byte === OPEN_BRACKET || byte === OPEN_BRACE) values += 1;
  }
  // guard: page-values
  if (values > MAX_PAGE_VALUES)
    throw new MirrorError('LIST_TOO_LARGE', `a page of the list of tags has ${values} values`);
}

const [COMMA, OPEN_BRACKET, OPEN_BRACE] = Buffer.from(',[{');
