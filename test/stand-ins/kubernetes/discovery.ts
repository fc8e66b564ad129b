import type { JsonObject } from './object.ts';
import { groupVersion, type Resource } from './resource.ts';

/** Version that the stand-in says it has: the newest that Flux 2.9 supports. */
const gitVersion = 'v1.36.3';

/**
 * The document at a path of discovery, such as `/apis`; undefined where there is none.
 * `serverAddress` is `HOST:PORT` as the client calls it.
 */
export function discovery(
  path: string,
  resources: readonly Resource[],
  crd: JsonObject | undefined,
  serverAddress: string,
): JsonObject | undefined {
  const groups = [...new Set(resources.map(({ group }) => group))].filter((group) => group !== '');
  const all = [...groups, 'authorization.k8s.io', 'apiextensions.k8s.io'].sort();
  const serverAddressByClientCIDRs = [{ clientCIDR: '0.0.0.0/0', serverAddress }];
  switch (path) {
    case '/version':
      return { major: '1', minor: '36', gitVersion, platform: 'linux/amd64' };
    case '/api':
      return { kind: 'APIVersions', versions: ['v1'], serverAddressByClientCIDRs };
    case '/apis':
      return { kind: 'APIGroupList', apiVersion: 'v1', groups: all.map(groupOf) };
    case '/apis/authorization.k8s.io/v1':
      return resourceList('authorization.k8s.io/v1', [reviews]);
    case '/apis/apiextensions.k8s.io/v1':
      return resourceList('apiextensions.k8s.io/v1', [definitions]);
    case '/apis/apiextensions.k8s.io/v1/customresourcedefinitions':
      return {
        kind: 'CustomResourceDefinitionList',
        apiVersion: 'apiextensions.k8s.io/v1',
        metadata: { resourceVersion: '1' },
        items: crd === undefined ? [] : [crd],
      };
    case '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/imagerepositories.image.toolkit.fluxcd.io':
      return crd;
    default: {
      const version = path.replace(/^\/apis?\//, '');
      const served = resources.filter((resource) => groupVersion(resource) === version);
      const root = version.includes('/') ? '/apis/' : '/api/';
      if (served.length > 0 && path === `${root}${version}`) {
        return resourceList(version, served.flatMap(entriesOf));
      }
      return path.startsWith('/apis/') && all.includes(version)
        ? { kind: 'APIGroup', apiVersion: 'v1', ...groupOf(version) }
        : undefined;
    }
  }
}

function groupOf(name: string): JsonObject {
  const version = { groupVersion: `${name}/v1`, version: 'v1' };
  return { name, versions: [version], preferredVersion: version };
}

function resourceList(version: string, entries: readonly JsonObject[]): JsonObject {
  return { kind: 'APIResourceList', apiVersion: 'v1', groupVersion: version, resources: entries };
}

function entriesOf(resource: Resource): readonly JsonObject[] {
  const { plural, singular, namespaced, kind, shortNames, categories, hasStatus } = resource;
  const main = {
    name: plural,
    singularName: singular,
    namespaced,
    kind,
    verbs: ['delete', 'deletecollection', 'get', 'list', 'patch', 'create', 'update', 'watch'],
    ...(shortNames.length === 0 ? {} : { shortNames }),
    ...(categories.length === 0 ? {} : { categories }),
  };
  const status = {
    name: `${plural}/status`,
    singularName: '',
    namespaced,
    kind,
    verbs: ['get', 'patch', 'update'],
  };
  return hasStatus ? [main, status] : [main];
}

const reviews = {
  name: 'selfsubjectaccessreviews',
  singularName: 'selfsubjectaccessreview',
  namespaced: false,
  kind: 'SelfSubjectAccessReview',
  verbs: ['create'],
};

const definitions = {
  name: 'customresourcedefinitions',
  singularName: 'customresourcedefinition',
  namespaced: false,
  kind: 'CustomResourceDefinition',
  shortNames: ['crd', 'crds'],
  verbs: ['get', 'list'],
};
