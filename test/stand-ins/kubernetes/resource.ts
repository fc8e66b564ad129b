import {
  coreEventToStored,
  eventSchema,
  eventViolations,
  newEventToStored,
  showCoreEvent,
  showNewEvent,
  type EventGroup,
} from './event.ts';
import { imageRepositorySchema } from './image-repository.ts';
import { leaseSchema, leaseViolations } from './lease.ts';
import type { JsonObject, KubeObject } from './object.ts';
import type { Cause, Named } from './refusal.ts';
import type { Schema } from './schema.ts';

/** A kind of object that the stand-in serves, in version v1. */
export interface Resource extends Named {
  readonly namespaced: boolean;
  /** Whether `/status` is a subresource. */
  readonly hasStatus: boolean;
  /** Custom resources have a generation, and what their schema does not know is dropped. */
  readonly custom: boolean;
  /** Key of the store's collection; two groups that show one kind share one. */
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
  namespaced: true,
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
  plural: 'imagerepositories',
  kind: 'ImageRepository',
  hasStatus: true,
  custom: true,
  collection: 'imagerepositories',
  schema: imageRepositorySchema,
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

const referenceFields = ['kind', 'namespace', 'name', 'uid', 'apiVersion'];

function eventsOf(group: EventGroup): Omit<Resource, 'group'> {
  const about = group === 'core' ? 'involvedObject' : 'regarding';
  const reporter = group === 'core' ? 'reportingComponent' : 'reportingController';
  return {
    ...plain,
    plural: 'events',
    kind: 'Event',
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
const coreEvents: Resource = {
  ...eventsOf('core'),
  group: '',
  toStored: coreEventToStored,
  present: showCoreEvent,
};

/** The same Events as `events.k8s.io` shows them. */
const newEvents: Resource = {
  ...eventsOf('events.k8s.io'),
  group: 'events.k8s.io',
  toStored: newEventToStored,
  present: showNewEvent,
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
export const resources: readonly Resource[] = [
  namespaces,
  coreEvents,
  newEvents,
  leases,
  imageRepositories,
];

/** `v1` or `group/v1`. */
export function groupVersion({ group }: Pick<Resource, 'group'>): string {
  return group === '' ? 'v1' : `${group}/v1`;
}
