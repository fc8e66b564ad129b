import { isJsonObject, type KubeObject } from './object.ts';
import { badRequest } from './refusal.ts';

/** What a field selector asks of an object. */
export interface FieldSelector {
  matches(object: KubeObject): boolean;
  /** The one name that it allows, where it asks for one: authorization knows names. */
  readonly name?: string;
}

/**
 * Reads `metadata.name=x,metadata.namespace!=y` and what else the resource can be selected by.
 * @throws Refusal 400
 */
export function parseFieldSelector(
  text: string,
  selectable: ReadonlyMap<string, string>,
): FieldSelector {
  const terms = text
    .split(',')
    .filter((term) => term !== '')
    .map((term) => {
      const match = /^([^=!]+)(==|=|!=)(.*)$/.exec(term);
      if (match === null)
        throw badRequest(`invalid selector: '${text}'; can't understand '${term}'`);
      const [, path = '', operator = '', value = ''] = match;
      const stored = path.startsWith('metadata.') ? metadataPath(path) : selectable.get(path);
      if (stored === undefined) throw badRequest(`field label not supported: ${path}`);
      return { path: stored, equal: operator !== '!=', value };
    });
  const named = terms.find(({ path, equal }) => path === 'metadata.name' && equal);
  return {
    matches: (object) =>
      terms.every(({ path, equal, value }) => (fieldOf(object, path) === value) === equal),
    ...(named === undefined ? {} : { name: named.value }),
  };
}

function metadataPath(path: string): string | undefined {
  return path === 'metadata.name' || path === 'metadata.namespace' ? path : undefined;
}

function fieldOf(object: KubeObject, path: string): string {
  let value: unknown = object;
  for (const step of path.split('.')) value = isJsonObject(value) ? value[step] : undefined;
  return typeof value === 'string' ? value : '';
}
