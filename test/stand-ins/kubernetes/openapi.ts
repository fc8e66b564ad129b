import type { JsonObject } from './object.ts';
import { groupVersion, type Resource } from './resource.ts';

/**
 * The document at a path below `/openapi/v3`: which paths take a PATCH with server-side field
 * validation, which is what kubectl looks for before it sends anything. Undefined where there is none.
 */
export function openApi(path: string, resources: readonly Resource[]): JsonObject | undefined {
  const roots = [...new Set(resources.map(rootOf))];
  if (path === '/openapi/v3') {
    const paths = roots.map((root) => [root, { serverRelativeURL: `/openapi/v3/${root}?hash=1` }]);
    return { paths: Object.fromEntries(paths) as JsonObject };
  }
  const root = path.replace(/^\/openapi\/v3\//, '');
  if (!roots.includes(root)) return undefined;
  const served = resources.filter((resource) => rootOf(resource) === root);
  return {
    openapi: '3.0.0',
    info: { title: 'Kubernetes', version: 'v1' },
    paths: Object.fromEntries(
      served.map((resource) => [pathOf(resource, root), patchOf(resource)]),
    ),
    components: { schemas: {} },
  };
}

function rootOf(resource: Resource): string {
  return `${resource.group === '' ? 'api' : 'apis'}/${groupVersion(resource)}`;
}

function pathOf({ plural, namespaced }: Resource, root: string): string {
  return `/${root}${namespaced ? '/namespaces/{namespace}' : ''}/${plural}/{name}`;
}

function patchOf({ group, version, kind }: Resource): JsonObject {
  const names = ['dryRun', 'fieldManager', 'fieldValidation', 'force'];
  return {
    patch: {
      parameters: names.map((name) => ({ name, in: 'query', schema: { type: 'string' } })),
      'x-kubernetes-action': 'patch',
      'x-kubernetes-group-version-kind': { group, version, kind },
      responses: {},
    },
  };
}
