import { methodNotAllowed } from './refusal.ts';
import { groupVersion, type Resource } from './resource.ts';

/** What a request for objects asks. */
export interface RequestInfo {
  readonly verb: string;
  readonly resource: Resource;
  readonly namespace?: string;
  readonly name?: string;
  readonly subresource?: string;
  readonly query: URLSearchParams;
}

/**
 * Reads method and URL of a request for objects; undefined where the path names no known resource.
 * @throws Refusal 405
 */
export function requestInfo(
  method: string,
  url: URL,
  resources: readonly Resource[],
): RequestInfo | undefined {
  const segments = url.pathname
    .split('/')
    .filter((segment) => segment !== '')
    .map(decodeSegment);
  const [root, ...rest] = segments;
  if (root !== 'api' && root !== 'apis') return undefined;
  const prefix = rest.splice(0, root === 'api' ? 1 : 2).join('/');
  const scoped = rest[0] === 'namespaces' && rest.length > 2;
  const namespace = scoped ? rest[1] : undefined;
  const [plural, name, subresource, ...more] = scoped ? rest.slice(2) : rest;
  const resource = resources.find(
    (each) => each.plural === plural && groupVersion(each) === prefix,
  );
  if (resource === undefined || more.length > 0) return undefined;
  if (resource.namespaced ? !scoped && name !== undefined : scoped) return undefined;
  if (subresource !== undefined && !(resource.hasStatus && subresource === 'status')) {
    return undefined;
  }
  return {
    verb: verbOf(method, name, subresource, url.searchParams),
    resource,
    query: url.searchParams,
    ...(namespace === undefined ? {} : { namespace }),
    ...(name === undefined ? {} : { name }),
    ...(subresource === undefined ? {} : { subresource }),
  };
}

function decodeSegment(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

function verbOf(
  method: string,
  name: string | undefined,
  subresource: string | undefined,
  query: URLSearchParams,
): string {
  if (method === 'GET' || method === 'HEAD') {
    if (name !== undefined) return 'get';
    return isTrue(query.get('watch')) ? 'watch' : 'list';
  }
  if (method === 'POST' && name === undefined) return 'create';
  if (method === 'PUT' && name !== undefined) return 'update';
  if (method === 'PATCH' && name !== undefined) return 'patch';
  if (method === 'DELETE' && subresource === undefined) {
    return name === undefined ? 'deletecollection' : 'delete';
  }
  throw methodNotAllowed();
}

/** A boolean query parameter as Kubernetes reads it: present without a value is true. */
export function isTrue(value: string | null): boolean {
  return value !== null && value !== 'false' && value !== '0';
}
