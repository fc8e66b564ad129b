import { readFileSync } from 'node:fs';

import { parse } from 'yaml';

import { eventSchema, eventViolations } from './event.ts';
import { leaseSchema, leaseViolations } from './lease.ts';
import type { JsonObject } from './object.ts';
import type { Cause, Named } from './refusal.ts';
import type { Schema } from './schema.ts';

const crdFile = new URL('../../../infra/kubernetes/crd/imagerepositories.yaml', import.meta.url);

/** A kind of object that the stand-in serves, in version v1. */
export interface Resource extends Named {
  readonly namespaced: boolean;
  /** Whether `/status` is a subresource. */
  readonly hasStatus: boolean;
  /** Custom resources have a generation, and what their schema does not know is dropped. */
  readonly custom: boolean;
  /** Key of the store's collection. */
  readonly collection: string;
  /** Whether PUT may make an object, and may go without a resourceVersion. */
  readonly createOnUpdate: boolean;
  readonly unconditionalUpdate: boolean;
  readonly schema?: Schema;
  /** What is wrong with an object beyond its schema. */
  violations(object: JsonObject): readonly Cause[];
  /** The object as the collection keeps it. */
  toStored(object: JsonObject): JsonObject;
}

const plain = {
  namespaced: true,
  hasStatus: false,
  custom: false,
  createOnUpdate: false,
  unconditionalUpdate: false,
  violations: () => [],
  toStored: (object: JsonObject) => object,
} as const;

/** ImageRepositories of Flux. */
export const imageRepositories: Resource = {
  ...plain,
  group: 'image.toolkit.fluxcd.io',
  plural: 'imagerepositories',
  kind: 'ImageRepository',
  hasStatus: true,
  custom: true,
  collection: 'imagerepositories',
  schema: imageRepositorySchema(),
};

/** Leases, by which leaders are elected. */
export const leases: Resource = {
  ...plain,
  group: 'coordination.k8s.io',
  plural: 'leases',
  kind: 'Lease',
  collection: 'leases',
  createOnUpdate: true,
  schema: leaseSchema,
  violations: leaseViolations,
};

/** Events, by which users are told. */
const events: Resource = {
  ...plain,
  group: '',
  plural: 'events',
  kind: 'Event',
  collection: 'events',
  createOnUpdate: true,
  unconditionalUpdate: true,
  schema: eventSchema,
  violations: eventViolations,
};

/** Namespaces; objects can only be made in one that exists. */
export const namespaces: Resource = {
  ...plain,
  group: '',
  plural: 'namespaces',
  kind: 'Namespace',
  namespaced: false,
  collection: 'namespaces',
  unconditionalUpdate: true,
  toStored: (object) => ({
    ...object,
    spec: object['spec'] ?? { finalizers: ['kubernetes'] },
    status: { phase: 'Active' },
  }),
};

/** Everything that is served. */
export const resources: readonly Resource[] = [namespaces, events, leases, imageRepositories];

/** `v1` or `group/v1`. */
export function groupVersion({ group }: Pick<Resource, 'group'>): string {
  return group === '' ? 'v1' : `${group}/v1`;
}

/** Schema of an ImageRepository of `image.toolkit.fluxcd.io/v1`: that of the definition that clusters without Flux are given. */
function imageRepositorySchema(): Schema {
  const definition = parse(readFileSync(crdFile, 'utf8')) as {
    readonly spec: {
      readonly versions: readonly {
        readonly name: string;
        readonly schema: { readonly openAPIV3Schema: Schema };
      }[];
    };
  };
  const version = definition.spec.versions.find(({ name }) => name === 'v1');
  if (version === undefined) throw new Error(`${crdFile.pathname} has no version v1`);
  return version.schema.openAPIV3Schema;
}
