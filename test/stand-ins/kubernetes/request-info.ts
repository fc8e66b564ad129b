import { badRequest, methodNotAllowed, notFound } from './refusal.ts';
import { groupVersion, type Resource } from './resource.ts';

/** What a request for objects asks. */
export interface RequestInfo {
  readonly verb: string;
  readonly resource: Resource;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
  readonly subresource: string | undefined;
  readonly query: URLSearchParams;
}

/**
 * Reads method and URL of a request for objects; undefined where the path names no known resource.
 * @throws Refusal 400, 404, 405
 */
export function requestInfo(
  method: string,
  url: URL,
  resources: readonly Resource[],
): RequestInfo | undefined {
  const path = readPath(url);
  if (path === undefined) return undefined;
  const { prefix, namespace, plural, name, subresource } = path;
  const resource = resources.find(
    (each) => each.plural === plural && groupVersion(each) === prefix,
  );
  if (resource === undefined) return undefined;
  const placed = resource.namespaced
    ? namespace !== undefined || name === undefined
    : namespace === undefined;
  if (!placed) return undefined;
  if (subresource !== undefined && !(resource.hasStatus && subresource === 'status')) {
    throw notFound(resource, name ?? '');
  }
  return {
    verb: verbOf(method, name, subresource, url.searchParams),
    resource,
    query: url.searchParams,
    namespace,
    name,
    subresource,
  };
}

interface ObjectPath {
  /** `v1` or `group/version` */
  readonly prefix: string;
  readonly namespace: string | undefined;
  readonly plural: string;
  readonly name: string | undefined;
  readonly subresource: string | undefined;
}

/** The parts of `/api/v1/…` or `/apis/GROUP/VERSION/…`; undefined where it is neither. */
function readPath(url: URL): ObjectPath | undefined {
  const [root, ...rest] = url.pathname.split('/').filter((segment) => segment !== '');
  if (root !== 'api' && root !== 'apis') return undefined;
  const prefix = rest.splice(0, root === 'api' ? 1 : 2).join('/');
  // `/namespaces/NAME` alone is a namespace itself.
  const scoped = rest[0] === 'namespaces' && rest.length > 2;
  const [namespace] = scoped ? rest.splice(0, 2).slice(1) : [];
  const [plural, name, subresource, ...more] = rest;
  if (plural === undefined || more.length > 0) return undefined;
  return {
    prefix,
    namespace,
    plural,
    name,
    subresource,
  };
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
  if (method === 'DELETE' && name !== undefined && subresource === undefined) return 'delete';
  if (method === 'PUT' || method === 'PATCH') throw badRequest('name must be provided');
  throw methodNotAllowed();
}

/** A boolean query parameter as Kubernetes reads it: present without a value is true. */
export function isTrue(value: string | null): boolean {
  return value !== null && value !== 'false' && value !== '0';
}
