import type { Schema } from './schema.ts';

const name: Schema = {
  type: 'object',
  required: ['name'],
  properties: { name: { type: 'string', description: 'Name of the referent.' } },
};

const strings: Schema = { type: 'array', items: { type: 'string' } };

const condition: Schema = {
  type: 'object',
  required: ['lastTransitionTime', 'message', 'reason', 'status', 'type'],
  properties: {
    lastTransitionTime: { type: 'string', format: 'date-time' },
    message: { type: 'string', maxLength: 32768 },
    observedGeneration: { type: 'integer', format: 'int64', minimum: 0 },
    reason: {
      type: 'string',
      minLength: 1,
      maxLength: 1024,
      pattern: '^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$',
    },
    status: { type: 'string', enum: ['True', 'False', 'Unknown'] },
    type: {
      type: 'string',
      maxLength: 316,
      pattern:
        '^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$',
    },
  },
};

const spec: Schema = {
  type: 'object',
  required: ['image', 'interval'],
  properties: {
    accessFrom: {
      type: 'object',
      description: 'Which namespaces may refer to this object by an ImagePolicy.',
      required: ['namespaceSelectors'],
      properties: {
        namespaceSelectors: {
          type: 'array',
          items: {
            type: 'object',
            properties: {
              matchLabels: { type: 'object', additionalProperties: { type: 'string' } },
            },
          },
        },
      },
    },
    certSecretRef: name,
    exclusionList: {
      ...strings,
      description: 'Tags that match one of these patterns (RE2, unanchored) are ignored.',
      default: ['^.*\\.sig$'],
      maxItems: 25,
    },
    image: { type: 'string', description: 'Image repository, without tag and scheme.' },
    insecure: { type: 'boolean', description: 'Speak plain HTTP to the registry.' },
    interval: {
      type: 'string',
      description: 'Time between two scans, as a Go duration.',
      pattern: '^([0-9]+(\\.[0-9]+)?(ms|s|m|h))+$',
    },
    provider: {
      type: 'string',
      description: 'Whose login the registry takes.',
      enum: ['generic', 'aws', 'azure', 'gcp'],
      default: 'generic',
    },
    proxySecretRef: name,
    secretRef: name,
    serviceAccountName: { type: 'string', maxLength: 253 },
    suspend: { type: 'boolean', description: 'Do not scan.' },
    timeout: {
      type: 'string',
      description: 'Longest a scan may take, as a Go duration.',
      pattern: '^([0-9]+(\\.[0-9]+)?(ms|s|m))+$',
    },
  },
};

const status: Schema = {
  type: 'object',
  default: { observedGeneration: -1 },
  properties: {
    canonicalImageName: {
      type: 'string',
      description: 'Registry and repository that were scanned, never with tag or scheme.',
    },
    conditions: { type: 'array', items: condition },
    lastHandledReconcileAt: { type: 'string' },
    lastScanResult: {
      type: 'object',
      required: ['tagCount'],
      properties: {
        latestTags: { ...strings, description: 'At most ten tags, in descending byte order.' },
        revision: { type: 'string', description: 'Checksum of the names of all tags found.' },
        scanTime: { type: 'string', format: 'date-time' },
        tagCount: { type: 'integer' },
      },
    },
    observedExclusionList: strings,
    observedGeneration: { type: 'integer', format: 'int64' },
  },
};

/** Schema of an ImageRepository of `image.toolkit.fluxcd.io/v1`. */
export const imageRepositorySchema: Schema = {
  type: 'object',
  description: 'An image repository that is scanned for tags.',
  properties: {
    apiVersion: { type: 'string' },
    kind: { type: 'string' },
    metadata: { type: 'object' },
    spec,
    status,
  },
};

const columns = [
  { jsonPath: '.spec.image', name: 'Image', type: 'string' },
  { jsonPath: '.status.lastScanResult.tagCount', name: 'Tags', type: 'string' },
  { jsonPath: ".status.conditions[?(@.type=='Ready')].status", name: 'Ready', type: 'string' },
  { jsonPath: ".status.conditions[?(@.type=='Ready')].message", name: 'Status', type: 'string' },
  {
    jsonPath: '.status.lastScanResult.scanTime',
    name: 'Last scan',
    priority: 1,
    type: 'string',
  },
  { jsonPath: '.metadata.creationTimestamp', name: 'Age', type: 'date' },
];

/**
 * The CustomResourceDefinition for API servers without Flux: the published interface of Flux's
 * ImageRepository v1 in our own words. `infra/kubernetes/crd/imagerepositories.yaml` says the same.
 */
export const imageRepositoryCrd = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'imagerepositories.image.toolkit.fluxcd.io' },
  spec: {
    group: 'image.toolkit.fluxcd.io',
    names: {
      categories: ['all', 'fluxcd', 'fluxcd-images'],
      kind: 'ImageRepository',
      listKind: 'ImageRepositoryList',
      plural: 'imagerepositories',
      shortNames: ['imgrepo', 'imagerepo'],
      singular: 'imagerepository',
    },
    scope: 'Namespaced',
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        additionalPrinterColumns: columns,
        schema: { openAPIV3Schema: imageRepositorySchema },
        subresources: { status: {} },
      },
    ],
  },
} as const;
