import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';

import { acceptedMetadata, mergedMetadata, type AcceptedMetadata } from './metadata.ts';
import {
  kubeTime,
  toJsonObject,
  type JsonObject,
  type KubeObject,
  type ManagedFieldsEntry,
} from './object.ts';
import {
  alreadyExists,
  badRequest,
  conflict,
  invalid,
  invalidValue,
  notFound,
  Refusal,
  required,
} from './refusal.ts';
import { groupVersion, namespaces, type Resource } from './resource.ts';
import { conform, violations } from './schema.ts';
import { objectKey, type ObjectStore } from './store.ts';

/** Where an object is written, and by whom. */
export interface Target {
  readonly resource: Resource;
  readonly namespace?: string | undefined;
  readonly name?: string | undefined;
  readonly subresource?: string | undefined;
  readonly fieldManager: string;
}

/** Writes objects by the rules of the API server. */
export class Objects {
  private readonly store: ObjectStore;

  constructor(store: ObjectStore) {
    this.store = store;
  }

  /** @throws Refusal 404 */
  get(target: Pick<Target, 'resource' | 'namespace' | 'name'>): KubeObject {
    const object = this.find(target);
    if (object === undefined) throw notFound(target.resource, target.name ?? '');
    return object;
  }

  /** @throws Refusal 400, 404 (namespace), 409, 422 */
  create(target: Target, body: JsonObject): KubeObject {
    const { resource, namespace } = target;
    const given = decode(target, body);
    const { name, kept } = acceptedMetadata(given['metadata'], resource);
    if (name === undefined) {
      const cause = required('metadata.name', 'Required value: name is required');
      throw invalid(resource, '', [cause]);
    }
    if (namespace !== undefined && !this.store.get(namespaces.collection, namespace)) {
      throw notFound(namespaces, namespace);
    }
    const object = complete(resource, {
      ...(resource.hasStatus ? withoutStatus(given) : given),
      metadata: {
        ...kept,
        ...(resource.custom ? { generation: 1 } : {}),
        creationTimestamp: kubeTime(Date.now()),
        name,
        ...(namespace === undefined ? {} : { namespace }),
        uid: randomUUID(),
        resourceVersion: '',
      },
    });
    validate(target, name, object);
    if (this.find({ ...target, name }) !== undefined) throw alreadyExists(resource, name);
    return this.keep(target, undefined, object);
  }

  /** @throws Refusal 400, 404, 409, 422 */
  update(target: Target, body: JsonObject): { object: KubeObject; created: boolean } {
    const { resource, name = '' } = target;
    const given = decode(target, body);
    const metadata = acceptedMetadata(given['metadata'], resource);
    requireName(name, metadata.name ?? name);
    const old = this.find(target);
    if (old === undefined) {
      if (!resource.createOnUpdate || target.subresource !== undefined) {
        throw notFound(resource, name);
      }
      const named = { ...body, metadata: { ...toJsonObject(body['metadata']), name } };
      return { object: this.create(target, named), created: true };
    }
    if (metadata.resourceVersion === undefined && !resource.unconditionalUpdate) {
      const cause = invalidValue('metadata.resourceVersion', 0, 'must be specified for an update');
      throw invalid({ ...resource, kind: resource.plural }, name, [cause]);
    }
    return { object: this.replace(target, old, given, metadata), created: false };
  }

  /**
   * Applies a JSON merge patch.
   * @throws Refusal 400, 404, 409, 422
   */
  patch(target: Target, patch: JsonObject): KubeObject {
    const { resource } = target;
    const old = this.get(target);
    const patched = toJsonObject(mergePatch(old, patch));
    requireName(old.metadata.name, toJsonObject(patched['metadata'])['name']);
    try {
      const given = decode(target, patched);
      return this.replace(target, old, given, acceptedMetadata(given['metadata'], resource));
    } catch (error) {
      if (resource.custom || !(error instanceof Refusal && error.code === 400)) throw error;
      // A patch that makes what cannot be decoded is itself invalid.
      const cause = { reason: 'FieldValueInvalid', message: error.message, field: 'patch' };
      throw invalid(resource, old.metadata.name, [cause]);
    }
  }

  /**
   * Deletes, or marks as being deleted where finalizers are left.
   * @returns the object as it is afterwards, with whether it is gone
   * @throws Refusal 404
   */
  delete(target: Target): { object: KubeObject; gone: boolean } {
    const { collection } = target.resource;
    const old = this.get(target);
    const key = objectKey(target.namespace, old.metadata.name);
    if ((old.metadata.finalizers?.length ?? 0) === 0) {
      this.store.remove(collection, key);
      return { object: old, gone: true };
    }
    if (old.metadata.deletionTimestamp !== undefined) return { object: old, gone: false };
    const { generation } = old.metadata;
    const metadata = {
      ...old.metadata,
      deletionGracePeriodSeconds: 0,
      deletionTimestamp: kubeTime(Date.now()),
      ...(generation === undefined ? {} : { generation: generation + 1 }),
    };
    return { object: this.store.put(collection, key, { ...old, metadata }), gone: false };
  }

  private find({ resource, namespace, name = '' }: Omit<Target, 'fieldManager'>) {
    return this.store.get(resource.collection, objectKey(namespace, name));
  }

  /** Swaps the old object for what a PUT or a patch made of it. */
  private replace(
    target: Target,
    old: KubeObject,
    given: JsonObject,
    sent: AcceptedMetadata,
  ): KubeObject {
    const { resource, subresource } = target;
    const { name, resourceVersion, uid } = old.metadata;
    const stale = sent.resourceVersion !== undefined && sent.resourceVersion !== resourceVersion;
    if (stale || (sent.uid !== undefined && sent.uid !== uid)) throw conflict(resource, name);
    requireNoNewFinalizers(resource, old, sent.kept.finalizers ?? []);
    const status = subresource === 'status';
    const statusOf = (object: JsonObject): JsonObject =>
      object['status'] === undefined ? {} : { status: object['status'] };
    const merged: JsonObject = status
      ? { ...withoutStatus(old), ...statusOf(given) }
      : resource.hasStatus
        ? { ...withoutStatus(given), ...statusOf(old) }
        : given;
    const object = complete(resource, {
      ...merged,
      metadata: status ? old.metadata : mergedMetadata(old.metadata, sent.kept),
    });
    validate(target, name, object);
    return this.keep(target, old, nextGeneration(resource, old, object));
  }

  /** Notes the writer, and writes unless nothing changed. */
  private keep(target: Target, old: KubeObject | undefined, object: KubeObject): KubeObject {
    const { resource } = target;
    if (old !== undefined && isDeepStrictEqual(old, object)) return old;
    const managedFields = notedBy(target, old?.metadata.managedFields ?? []);
    const written: KubeObject = { ...object, metadata: { ...object.metadata, managedFields } };
    const { deletionTimestamp, finalizers, name } = written.metadata;
    const key = objectKey(target.namespace, name);
    if (deletionTimestamp !== undefined && (finalizers?.length ?? 0) === 0) {
      this.store.remove(resource.collection, key);
      return written;
    }
    return this.store.put(resource.collection, key, written);
  }
}

/**
 * managedFields with the writer among them: who wrote is told, which fields it owns is not (all of
 * its resource).
 */
function notedBy(
  { resource, subresource, fieldManager }: Target,
  entries: readonly ManagedFieldsEntry[],
): readonly ManagedFieldsEntry[] {
  const own: ManagedFieldsEntry = {
    apiVersion: groupVersion(resource),
    fieldsType: 'FieldsV1',
    fieldsV1: { [subresource === undefined ? 'f:spec' : `f:${subresource}`]: {} },
    manager: fieldManager,
    operation: 'Update',
    ...(subresource === undefined ? {} : { subresource }),
    time: kubeTime(Date.now()),
  };
  const others = entries.filter(
    (entry) => entry.manager !== fieldManager || entry.subresource !== subresource,
  );
  return [...others, own];
}

/** Applies a JSON merge patch (RFC 7386): null removes, objects merge, all else replaces. */
function mergePatch(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const result: Record<string, unknown> = { ...toJsonObject(target) };
  for (const [name, value] of Object.entries(patch) as [string, unknown][]) {
    if (value === null) Reflect.deleteProperty(result, name);
    else result[name] = mergePatch(result[name], value);
  }
  return result;
}

/**
 * The body as the collection keeps it, its kind and namespace checked.
 * @throws Refusal 400, 422
 */
function decode({ resource, namespace }: Target, body: JsonObject): JsonObject {
  const { apiVersion = groupVersion(resource), kind = resource.kind } = body;
  const metadata = toJsonObject(body['metadata']);
  if (apiVersion !== groupVersion(resource)) {
    throw badRequest(
      `the API version in the data (${String(apiVersion)}) does not match the expected API version (${groupVersion(resource)})`,
    );
  }
  if (kind !== resource.kind) {
    const { name } = acceptedMetadata(metadata, resource);
    const cause = invalidValue('kind', kind, `must be ${resource.kind}`);
    throw invalid({ ...resource, kind: String(kind) }, name ?? '', [cause]);
  }
  const { namespace: named = namespace } = metadata;
  if (named !== namespace) {
    throw badRequest(
      'the namespace of the provided object does not match the namespace sent on the request',
    );
  }
  const home = namespace === undefined ? {} : { namespace };
  return resource.toStored({ ...body, apiVersion, kind, metadata: { ...metadata, ...home } });
}

/**
 * Refuses a body with another name than the URL has.
 * @throws Refusal 400
 */
function requireName(name: string, given: unknown): void {
  if (given === name) return;
  throw badRequest(
    typeof given === 'string'
      ? `the name of the object (${given}) does not match the name on the URL (${name})`
      : `the name of the object (${name} based on URL) was undeterminable: name must be provided`,
  );
}

/** Prunes, and adds the schema's defaults. */
function complete({ schema }: Resource, object: JsonObject): KubeObject {
  const { metadata, ...rest } = object;
  const conformed = schema === undefined ? rest : toJsonObject(conform(rest, schema));
  const { apiVersion, kind, ...content } = conformed;
  return { apiVersion, kind, metadata, ...content } as unknown as KubeObject;
}

/**
 * Refuses an object that its schema or its kind does not allow.
 * @throws Refusal 400, 422
 */
function validate({ resource, subresource }: Target, name: string, object: KubeObject): void {
  const { apiVersion: _apiVersion, kind: _kind, metadata: _metadata, ...content } = object;
  const wrong = resource.schema === undefined ? [] : violations(content, resource.schema, '');
  const unreadable = wrong.find(({ reason }) => reason === 'FieldValueTypeInvalid');
  // Built-in kinds are decoded into typed structures: a wrong type is not invalid but unreadable.
  if (!resource.custom && unreadable !== undefined) {
    const { field = '', message } = unreadable;
    const [, wanted = '', actual = ''] = /of type (\w+): "(\w+)"/.exec(message) ?? [];
    const { kind } = resource;
    throw badRequest(
      `${kind} in version "v1" cannot be handled as a ${kind}: json: cannot unmarshal ${actual} into Go struct field ${kind}Spec.${field} of type ${wanted === 'integer' ? 'int32' : wanted}`,
    );
  }
  // A status is validated by itself: its messages name fields from there on.
  const shown = wrong.map((cause) =>
    subresource === 'status'
      ? { ...cause, message: cause.message.replace(/: status\.(\S+ in body)/, ': $1') }
      : cause,
  );
  const causes = [...shown, ...resource.violations(object)];
  if (causes.length > 0) throw invalid(resource, name, causes);
}

/**
 * What is being deleted only waits for the finalizers that it has.
 * @throws Refusal 422
 */
function requireNoNewFinalizers(
  resource: Resource,
  { metadata }: KubeObject,
  finalizers: readonly string[],
): void {
  const added = finalizers.filter((each) => !(metadata.finalizers ?? []).includes(each));
  if (metadata.deletionTimestamp === undefined || added.length === 0) return;
  const list = added.map((each) => JSON.stringify(each)).join(', ');
  const message = `Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{${list}}`;
  throw invalid(resource, metadata.name, [
    { reason: 'FieldValueForbidden', message, field: 'metadata.finalizers' },
  ]);
}

/** A custom object's generation counts the changes of its spec. */
function nextGeneration(resource: Resource, old: KubeObject, object: KubeObject): KubeObject {
  const { generation } = old.metadata;
  if (!resource.custom || generation === undefined) return object;
  const content = ({ status: _status, metadata: _metadata, ...rest }: KubeObject): unknown => rest;
  if (isDeepStrictEqual(content(old), content(object))) return object;
  return { ...object, metadata: { ...object.metadata, generation: generation + 1 } };
}

function withoutStatus({ status: _status, ...rest }: JsonObject): JsonObject {
  return rest;
}
