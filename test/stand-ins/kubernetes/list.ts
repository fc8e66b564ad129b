import { groupVersion, type Resource } from './resource.ts';
import { toJson, type KubeObject } from './object.ts';
import { badRequest, continueExpired, isExpired } from './refusal.ts';
import { objectKey, type ObjectStore } from './store.ts';

/** Which objects a list or a watch is about. */
export interface Selection {
  readonly resource: Resource;
  readonly namespace: string | undefined;
  readonly matches: (object: KubeObject) => boolean;
  /** Whether any selector is given: the server then tells no count of what remains. */
  readonly selective: boolean;
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
 * @throws Refusal 400, 410
 */
export function listJson(store: ObjectStore, selection: Selection, query: URLSearchParams): string {
  const { resource } = selection;
  const limit = Math.max(0, numberOf(query, 'limit'));
  if (query.has('resourceVersion')) throw badRequest('the stand-in lists the newest version alone');
  const token = query.get('continue') ?? '';
  const page = token === '' ? { rv: store.revision, start: '' } : nextPage(token);
  const revision = page.rv < 0 ? store.revision : page.rv;
  const view = readAt(store, resource, revision, page.start);
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
  if (resource.custom) return toJson(object);
  const { apiVersion: _apiVersion, kind: _kind, ...rest } = object;
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
    throw isExpired(error) ? continueExpired(encode({ rv: -1, start })) : error;
  }
}

function nextPage(continueToken: string): Continuation {
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
