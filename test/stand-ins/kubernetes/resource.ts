import { imageRepositorySchema } from './image-repository-crd.ts';
import { isJsonObject, type JsonObject, type KubeObject } from './object.ts';
import type { Cause, Named } from './refusal.ts';
import type { Schema } from './schema.ts';
import {
  coreEventToStored,
  eventSchema,
  newEventToStored,
  eventViolations,
  showCoreEvent,
  showNewEvent,
  type EventGroup,
} from './event.ts';
import { leaseSchema, leaseViolations } from './lease.ts';

/** A kind of object that the stand-in serves. */
export interface Resource extends Named {
  readonly version: string;
  readonly singular: string;
  readonly namespaced: boolean;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  /** Whether `/status` is a subresource, which also gives the object a generation. */
  readonly hasStatus: boolean;
  /** Custom resources take no strategic merge patch and are pruned by their schema. */
  readonly custom: boolean;
  /** Key of the store's collection; two versions of one kind share one. */
  readonly collection: string;
  /** Whether PUT may make an object, and may go without a resourceVersion. */
  readonly createOnUpdate: boolean;
  readonly unconditionalUpdate: boolean;
  readonly schema?: Schema;
  /**
   * Fields, besides name and namespace, that a field selector may name, and what they are called in
   * the collection.
   */
  readonly selectable: ReadonlyMap<string, string>;
  /** What is wrong with an object beyond its schema; `old` is the one that it replaces. */
  violations(object: JsonObject, old: JsonObject | undefined): readonly Cause[];
  /** The object as the collection keeps it. */
  toStored(object: JsonObject): JsonObject;
  /** A kept object as this resource shows it. */
  present(object: KubeObject): KubeObject;
}

const plain = {
  shortNames: [],
  categories: [],
  hasStatus: false,
  custom: false,
  createOnUpdate: false,
  unconditionalUpdate: false,
  selectable: new Map<string, string>(),
  violations: () => [],
  toStored: (object: JsonObject) => object,
  present: (object: KubeObject) => object,
} as const;

/** ImageRepositories of Flux. */
export const imageRepositories: Resource = {
  ...plain,
  group: 'image.toolkit.fluxcd.io',
  version: 'v1',
  plural: 'imagerepositories',
  singular: 'imagerepository',
  kind: 'ImageRepository',
  namespaced: true,
  shortNames: ['imgrepo', 'imagerepo'],
  categories: ['all', 'fluxcd', 'fluxcd-images'],
  hasStatus: true,
  custom: true,
  collection: 'imagerepositories',
  schema: imageRepositorySchema,
};

/** Leases, by which leaders are elected. */
export const leases: Resource = {
  ...plain,
  group: 'coordination.k8s.io',
  version: 'v1',
  plural: 'leases',
  singular: 'lease',
  kind: 'Lease',
  namespaced: true,
  collection: 'leases',
  createOnUpdate: true,
  schema: leaseSchema,
  violations: leaseViolations,
};

const referenceFields = ['kind', 'namespace', 'name', 'uid', 'apiVersion'];

function eventsOf(group: EventGroup): Omit<Resource, 'group' | 'version'> {
  const about = group === 'core' ? 'involvedObject' : 'regarding';
  const reporter = group === 'core' ? 'reportingComponent' : 'reportingController';
  return {
    ...plain,
    plural: 'events',
    singular: 'event',
    kind: 'Event',
    namespaced: true,
    shortNames: ['ev'],
    collection: 'events',
    createOnUpdate: true,
    unconditionalUpdate: true,
    schema: eventSchema,
    selectable: new Map([
      ...referenceFields.map((each) => [`${about}.${each}`, `involvedObject.${each}`] as const),
      ['reason', 'reason'],
      [reporter, 'reportingComponent'],
      ['type', 'type'],
    ]),
    violations: (object, old) => eventViolations(object, old, group),
  };
}

/** Events as the core group shows them; they are kept in this form. */
export const coreEvents: Resource = {
  ...eventsOf('core'),
  group: '',
  version: 'v1',
  toStored: coreEventToStored,
  present: showCoreEvent,
};

/** The same Events as `events.k8s.io` shows them. */
export const newEvents: Resource = {
  ...eventsOf('events.k8s.io'),
  group: 'events.k8s.io',
  version: 'v1',
  toStored: newEventToStored,
  present: showNewEvent,
};

/** Secrets, of which only the data is kept: image pull credentials of ImageRepositories. */
export const secrets: Resource = {
  ...plain,
  group: '',
  version: 'v1',
  plural: 'secrets',
  singular: 'secret',
  kind: 'Secret',
  namespaced: true,
  collection: 'secrets',
  unconditionalUpdate: true,
};

/** Namespaces; objects can only be made in one that exists. */
export const namespaces: Resource = {
  ...plain,
  group: '',
  version: 'v1',
  plural: 'namespaces',
  singular: 'namespace',
  kind: 'Namespace',
  namespaced: false,
  shortNames: ['ns'],
  collection: 'namespaces',
  unconditionalUpdate: true,
  toStored: (object) => ({
    ...object,
    spec: isJsonObject(object['spec']) ? object['spec'] : { finalizers: ['kubernetes'] },
    status: { phase: 'Active' },
  }),
};

/** Everything that is served, in the order of discovery. */
export const resources: readonly Resource[] = [
  namespaces,
  secrets,
  coreEvents,
  newEvents,
  leases,
  imageRepositories,
];

/** `v1` or `group/version`. */
export function groupVersion({ group, version }: Pick<Resource, 'group' | 'version'>): string {
  return group === '' ? version : `${group}/${version}`;
}
