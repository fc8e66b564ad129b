import { groupVersion, type Resource } from './resource.ts';
import { toJson, type KubeObject } from './object.ts';
import {
  badRequest,
  continueExpired,
  invalidOptions,
  isExpired,
  listExpired,
  tooLargeResourceVersion,
} from './refusal.ts';
import { objectKey, type ObjectStore } from './store.ts';

/** Which objects a list or a watch is about. */
export interface Selection {
  readonly resource: Resource;
  readonly namespace: string | undefined;
  readonly matches: (object: KubeObject) => boolean;
  /** Whether any selector is given: the server then tells no count of what remains. */
  readonly selective: boolean;
}

/** The query parameters of a list; empty where they are absent. */
interface ListOptions {
  /** Most objects of a page; 0: all. */
  readonly limit: number;
  readonly continueToken: string;
  readonly resourceVersion: string;
  readonly match: string;
}

/** Where a list goes on. */
interface Continuation {
  /** The resourceVersion that the list began at; -1: today's objects, whatever they are. */
  readonly rv: number;
  readonly start: string;
}

/**
 * The JSON of a list, as Kubernetes pages it ("API Concepts", retrieving large results sets in
 * chunks): every page shows the objects as they were at the first page's resourceVersion.
 * @throws Refusal 400, 410, 504
 */
export function listJson(store: ObjectStore, selection: Selection, query: URLSearchParams): string {
  const { resource } = selection;
  const options: ListOptions = {
    limit: numberOf(query, 'limit'),
    continueToken: query.get('continue') ?? '',
    resourceVersion: query.get('resourceVersion') ?? '',
    match: query.get('resourceVersionMatch') ?? '',
  };
  const page = options.continueToken === '' ? firstPage(store, options) : nextPage(options);
  const revision = page.rv < 0 ? store.revision : page.rv;
  const view = readAt(store, resource, revision, page.start);
  // A list "at any version" is answered from the server's memory, which does not page.
  const limit = options.resourceVersion === '0' ? 0 : Math.max(0, options.limit);
  const { items, last, remaining } = takePage(view, selection, page.start, limit);
  const next = remaining === 0 ? '' : encode({ rv: revision, start: `${last}\0` });
  const metadata = {
    ...(next === '' && !resource.custom ? {} : { continue: next }),
    resourceVersion: String(revision),
    ...(remaining === 0 || selection.selective ? {} : { remainingItemCount: remaining }),
  };
  const head = JSON.stringify({
    apiVersion: groupVersion(resource),
    kind: `${resource.kind}List`,
    metadata,
  });
  return `${head.slice(0, -1)},"items":[${items.join(',')}]}\n`;
}

interface Page {
  readonly items: readonly string[];
  /** Key of the last item. */
  readonly last: string;
  /** How many are left; of a selective list only whether there are any. */
  readonly remaining: number;
}

function takePage(
  view: ReturnType<ObjectStore['at']>,
  selection: Selection,
  start: string,
  limit: number,
): Page {
  const prefix = selection.namespace === undefined ? '' : objectKey(selection.namespace, '');
  const items: string[] = [];
  let last = '';
  let remaining = 0;
  for (const key of view.keys) {
    if (!key.startsWith(prefix) || key < start) continue;
    const object = view.get(key);
    if (object === undefined || !selection.matches(object)) continue;
    if (limit > 0 && items.length === limit) {
      remaining += 1;
      if (selection.selective) break;
    } else {
      items.push(itemJson(selection.resource, object));
      last = key;
    }
  }
  return { items, last, remaining };
}

/** Items of built-in kinds do not repeat their kind. */
function itemJson(resource: Resource, object: KubeObject): string {
  const shown = resource.present(object);
  if (resource.custom) return toJson(shown);
  const { apiVersion: _apiVersion, kind: _kind, ...rest } = shown;
  return JSON.stringify(rest);
}

function readAt(
  store: ObjectStore,
  resource: Resource,
  revision: number,
  start: string,
): ReturnType<ObjectStore['at']> {
  try {
    return store.at(resource.collection, revision);
  } catch (error) {
    if (start !== '' && isExpired(error)) throw continueExpired(encode({ rv: -1, start }));
    // A list says so in other words than a watch.
    throw isExpired(error) ? listExpired() : error;
  }
}

function firstPage(store: ObjectStore, options: ListOptions): Continuation {
  const { resourceVersion, match } = options;
  if (match !== '') requireMatch(match, resourceVersion);
  if (resourceVersion === '' || resourceVersion === '0') return { rv: store.revision, start: '' };
  const wanted = parseListVersion(resourceVersion);
  if (wanted > store.revision) throw tooLargeResourceVersion(wanted, store.revision);
  // With a limit and no match, Kubernetes reads exactly the version asked for.
  const exact = match === 'Exact' || (match === '' && options.limit > 0);
  return { rv: exact ? wanted : store.revision, start: '' };
}

function requireMatch(match: string, resourceVersion: string): void {
  if (match !== 'Exact' && match !== 'NotOlderThan') {
    const message = `Unsupported value: ${JSON.stringify(match)}: supported values: "Exact", "NotOlderThan", ""`;
    throw invalidOptions('FieldValueNotSupported', message);
  }
  if (resourceVersion === '') {
    const message =
      'Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided';
    throw invalidOptions('FieldValueForbidden', message);
  }
  if (match === 'Exact' && resourceVersion === '0') {
    const message = 'Forbidden: resourceVersionMatch "exact" is forbidden for resourceVersion "0"';
    throw invalidOptions('FieldValueForbidden', message);
  }
}

function nextPage({ continueToken, resourceVersion }: ListOptions): Continuation {
  if (resourceVersion !== '' && resourceVersion !== '0') {
    throw badRequest('specifying resource version is not allowed when using continue');
  }
  try {
    const token = JSON.parse(Buffer.from(continueToken, 'base64url').toString()) as Continuation;
    if (Number.isInteger(token.rv) && typeof token.start === 'string') return token;
  } catch {
    // Refused below: an unreadable token and one of another shape are alike.
  }
  throw badRequest('invalid continue token: continue key is not valid');
}

function encode(continuation: Continuation): string {
  return Buffer.from(JSON.stringify({ v: 'meta.k8s.io/v1', ...continuation })).toString(
    'base64url',
  );
}

/**
 * A number parameter; absent and empty are 0.
 * @throws Refusal 400
 */
export function numberOf(query: URLSearchParams, name: string): number {
  const text = query.get(name) ?? '';
  if (text !== '' && !/^-?\d{1,15}$/.test(text)) {
    throw badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
  }
  return Number(text);
}

/** @throws Refusal 400 */
export function parseResourceVersion(text: string): number {
  if (!/^\d{1,15}$/.test(text)) {
    throw badRequest(
      `resourceVersion: Invalid value: ${JSON.stringify(text)}: strconv.ParseUint: parsing ${JSON.stringify(text)}: invalid syntax`,
    );
  }
  return Number(text);
}

function parseListVersion(text: string): number {
  try {
    return parseResourceVersion(text);
  } catch (error) {
    throw error instanceof Error ? badRequest(`invalid resource version: ${error.message}`) : error;
  }
}
