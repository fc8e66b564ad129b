/** A leaf's text, or what is computed from the request's query. */
export type Leaf = string | ((query: URLSearchParams) => Entry);

/** What a leaf answers. */
export interface Entry {
  readonly status: number;
  readonly contentType: string;
  readonly text: string;
}

/** A directory of metadata. */
export interface Directory {
  readonly [name: string]: Leaf | Directory;
}

/**
 * The entry at a path below `/computeMetadata/v1/` (Compute Engine, "View and query VM metadata").
 *
 * @param path segments as written; a directory's ends with a slash
 * @returns `slash` where a directory was asked for without its slash; undefined where nothing is
 */
export function findEntry(
  root: Directory,
  path: string,
  query: URLSearchParams,
): Entry | 'slash' | undefined {
  const names = path.split('/').filter((name) => name !== '');
  let found: Leaf | Directory | undefined = root;
  for (const name of names) {
    if (typeof found !== 'object' || !Object.hasOwn(found, name)) return undefined;
    found = found[name];
  }
  if (found === undefined) return undefined;
  if (typeof found === 'function') return found(query);
  if (typeof found === 'string') {
    return query.get('alt') === 'json' ? json(found) : plain(found);
  }
  if (!path.endsWith('/')) return 'slash';
  return query.get('recursive') === 'true' ? json(documentOf(found)) : plain(listing(found));
}

/** A text as the server gives leaves. */
export function plain(text: string, status = 200): Entry {
  return { status, contentType: 'application/text', text };
}

/** A JSON document. */
export function json(document: unknown): Entry {
  return { status: 200, contentType: 'application/json', text: JSON.stringify(document) };
}

function listing(directory: Directory): string {
  return Object.entries(directory)
    .map(([name, value]) => (typeof value === 'object' ? `${name}/\n` : `${name}\n`))
    .join('');
}

/** Names in camel case, computed leaves (tokens) left out, lists where the text has lines. */
function documentOf(directory: Directory): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    Object.entries(directory)
      .filter(([, value]) => typeof value !== 'function')
      .map(([name, value]) => [
        name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase()),
        typeof value === 'object' ? documentOf(value) : leafDocument(name, String(value)),
      ]),
  );
}

function leafDocument(name: string, text: string): unknown {
  if (name === 'scopes' || name === 'aliases')
    return text.split('\n').filter((line) => line !== '');
  return name === 'numeric-project-id' ? Number(text) : text;
}
