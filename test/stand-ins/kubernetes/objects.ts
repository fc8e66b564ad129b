import { randomBytes, randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';

import { trackFields } from './managed-fields.ts';
import { acceptedMetadata, mergedMetadata } from './metadata.ts';
import { isJsonObject, kubeTime, type JsonObject, type KubeObject } from './object.ts';
import { applyPatch } from './patch.ts';
import { alreadyExists, badRequest, conflict, invalid, notFound, Refusal } from './refusal.ts';
import { groupVersion, namespaces, type Resource } from './resource.ts';
import { conform } from './schema.ts';
import { objectKey, type ObjectStore } from './store.ts';
import { requireNoNewFinalizers, validate } from './validation.ts';
import { decode, requireName } from './decode.ts';

/** Where an object is written, and by whom. */
export interface Target {
  readonly resource: Resource;
  readonly namespace?: string;
  readonly name?: string;
  readonly subresource?: string;
  readonly fieldManager: string;
  /** Everything is checked and answered, nothing is kept. */
  readonly dryRun?: boolean;
  /** Whether fields that the kind does not know are refused, not dropped. */
  readonly strict?: boolean;
}

/** Preconditions of a deletion. */
export interface DeleteOptions {
  readonly uid?: string;
  readonly resourceVersion?: string;
}

/** Writes objects by the rules of the API server. */
export class Objects {
  private readonly store: ObjectStore;
  private readonly nowMs: () => number;

  constructor(store: ObjectStore, nowMs: () => number) {
    this.store = store;
    this.nowMs = nowMs;
  }

  /** @throws Refusal 404 */
  get(target: Pick<Target, 'resource' | 'namespace' | 'name'>): KubeObject {
    const object = this.find(target);
    if (object === undefined) throw notFound(target.resource, target.name ?? '');
    return object;
  }

  /** @throws Refusal 400, 404 (namespace), 409, 422 */
  create(target: Target, body: JsonObject): KubeObject {
    const { resource } = target;
    const given = decode(target, body);
    const metadata = acceptedMetadata(given['metadata'], resource);
    const name = metadata.name ?? this.generatedName(resource, metadata.generateName);
    this.requireNamespace(target);
    const key = objectKey(target.namespace, name);
    const now = kubeTime(this.nowMs());
    const object = this.complete(target, {
      ...(resource.hasStatus ? withoutStatus(given) : given),
      metadata: {
        ...metadata.kept,
        ...(resource.custom ? { generation: 1 } : {}),
        creationTimestamp: now,
        name,
        ...(target.namespace === undefined ? {} : { namespace: target.namespace }),
        uid: randomUUID(),
        resourceVersion: '',
      },
    });
    validate(target, name, object, undefined);
    if (this.store.get(resource.collection, key) !== undefined) throw alreadyExists(resource, name);
    return this.keep(target, key, undefined, object);
  }

  /** @throws Refusal 400, 404, 409, 422 */
  update(target: Target, body: JsonObject): { object: KubeObject; created: boolean } {
    const { resource } = target;
    const given = decode(target, body);
    const metadata = acceptedMetadata(given['metadata'], resource);
    const name = target.name ?? '';
    requireName(target, metadata.name ?? name);
    const old = this.find(target);
    if (old === undefined) {
      if (!resource.createOnUpdate || target.subresource !== undefined) {
        throw notFound(resource, name);
      }
      const named = { ...body, metadata: { ...toObject(body['metadata']), name } };
      return { object: this.create(target, named), created: true };
    }
    if (metadata.uid !== undefined && metadata.uid !== old.metadata.uid) {
      throw conflict(resource, name, otherUid(metadata.uid, old.metadata.uid));
    }
    const version = metadata.resourceVersion;
    if (version === undefined && !resource.unconditionalUpdate) {
      const message = 'Invalid value: 0: must be specified for an update';
      throw invalid({ ...resource, kind: resource.plural }, name, [
        { reason: 'FieldValueInvalid', message, field: 'metadata.resourceVersion' },
      ]);
    }
    return { object: this.replace(target, old, given), created: false };
  }

  /**
   * Applies a patch of the given media type.
   * @throws Refusal 400, 404, 409, 415, 422
   */
  patch(target: Target, mediaType: string, patch: unknown): KubeObject {
    const { resource } = target;
    const old = this.get(target);
    const shown: JsonObject = resource.present(old);
    const patched = applyPatch(shown, mediaType, patch, resource.custom);
    if (!isJsonObject(patched)) throw badRequest('the patch makes no object');
    requireName(target, toObject(patched['metadata'])['name']);
    if (resource.custom) return this.replace(target, old, decode(target, patched));
    try {
      return this.replace(target, old, decode(target, patched));
    } catch (error) {
      if (!(error instanceof Refusal && error.code === 400)) throw error;
      // A patch that makes what cannot be decoded is itself invalid.
      const cause = { reason: 'FieldValueInvalid', message: error.message, field: 'patch' };
      throw invalid(resource, old.metadata.name, [cause]);
    }
  }

  /**
   * Deletes, or marks as being deleted where finalizers are left.
   * @returns the object as it is afterwards, with whether it is gone
   * @throws Refusal 404, 409
   */
  delete(target: Target, options: DeleteOptions = {}): { object: KubeObject; gone: boolean } {
    const { resource, name = '' } = target;
    const old = this.get(target);
    const key = objectKey(target.namespace, name);
    const { uid, resourceVersion } = old.metadata;
    const precondition = { ...resource, plural: resource.kind };
    if (options.uid !== undefined && options.uid !== uid) {
      throw conflict(
        precondition,
        name,
        `the UID in the precondition (${options.uid}) does not match the UID in record (${uid}). The object might have been deleted and then recreated`,
      );
    }
    if (options.resourceVersion !== undefined && options.resourceVersion !== resourceVersion) {
      throw conflict(
        precondition,
        name,
        `the ResourceVersion in the precondition (${options.resourceVersion}) does not match the ResourceVersion in record (${resourceVersion}). The object might have been modified`,
      );
    }
    if ((old.metadata.finalizers?.length ?? 0) === 0) {
      if (target.dryRun !== true) this.store.remove(resource.collection, key);
      return { object: old, gone: true };
    }
    if (old.metadata.deletionTimestamp !== undefined) return { object: old, gone: false };
    const { generation } = old.metadata;
    const marked: KubeObject = {
      ...old,
      metadata: {
        ...old.metadata,
        deletionGracePeriodSeconds: 0,
        deletionTimestamp: kubeTime(this.nowMs()),
        ...(generation === undefined ? {} : { generation: generation + 1 }),
      },
    };
    if (target.dryRun === true) return { object: marked, gone: false };
    return { object: this.store.put(resource.collection, key, marked), gone: false };
  }

  private find(target: Pick<Target, 'resource' | 'namespace' | 'name'>): KubeObject | undefined {
    const key = objectKey(target.namespace, target.name ?? '');
    return this.store.get(target.resource.collection, key);
  }

  /** Swaps the old object for what a PUT or a patch made of it. */
  private replace(target: Target, old: KubeObject, given: JsonObject): KubeObject {
    const { resource, subresource } = target;
    const { name } = old.metadata;
    const sent = acceptedMetadata(given['metadata'], resource);
    if (
      sent.resourceVersion !== undefined &&
      sent.resourceVersion !== old.metadata.resourceVersion
    ) {
      throw conflict(resource, name);
    }
    if (sent.uid !== undefined && sent.uid !== old.metadata.uid) {
      const message = `Invalid value: ${JSON.stringify(sent.uid)}: field is immutable`;
      throw invalid(resource, name, [
        { reason: 'FieldValueInvalid', message, field: 'metadata.uid' },
      ]);
    }
    requireNoNewFinalizers(resource, old, sent.kept.finalizers ?? []);
    const status = subresource === 'status';
    const statusOf = (object: JsonObject): JsonObject =>
      object['status'] === undefined ? {} : { status: object['status'] };
    const merged: JsonObject = status
      ? { ...withoutStatus(old), ...statusOf(given) }
      : resource.hasStatus
        ? { ...withoutStatus(given), ...statusOf(old) }
        : given;
    const object = this.complete(target, {
      ...merged,
      metadata: status ? old.metadata : mergedMetadata(old.metadata, sent.kept),
    });
    validate(target, name, object, old);
    return this.keep(
      target,
      objectKey(target.namespace, name),
      old,
      this.generation(resource, old, object),
    );
  }

  private generation(resource: Resource, old: KubeObject, object: KubeObject): KubeObject {
    if (!resource.custom || old.metadata.generation === undefined) return object;
    const content = ({ status, metadata: _metadata, ...rest }: KubeObject): unknown =>
      resource.hasStatus ? rest : { ...rest, status };
    if (isDeepStrictEqual(content(old), content(object))) return object;
    return {
      ...object,
      metadata: { ...object.metadata, generation: old.metadata.generation + 1 },
    };
  }

  /** Prunes, and adds the schema's defaults. */
  private complete(target: Target, object: JsonObject): KubeObject {
    const { schema } = target.resource;
    const { metadata, ...rest } = object;
    const conformed = schema === undefined ? rest : toObject(conform(rest, schema));
    const { apiVersion, kind, ...content } = conformed;
    return { apiVersion, kind, metadata, ...content } as unknown as KubeObject;
  }

  /** Notes the writer, and writes unless nothing changed or it is a dry run. */
  private keep(
    target: Target,
    key: string,
    old: KubeObject | undefined,
    object: KubeObject,
  ): KubeObject {
    const { resource } = target;
    if (old !== undefined && isDeepStrictEqual(old, object)) return old;
    // Who writes the main resource owns nothing of a status that is a subresource.
    const ownable = (each: KubeObject): JsonObject =>
      resource.hasStatus && target.subresource === undefined ? withoutStatus(each) : each;
    const before = old === undefined ? undefined : ownable(old);
    const managedFields = trackFields(before, ownable(object), old?.metadata.managedFields ?? [], {
      manager: target.fieldManager,
      apiVersion: groupVersion(resource),
      nowMs: this.nowMs(),
      ...(target.subresource === undefined ? {} : { subresource: target.subresource }),
    });
    const written: KubeObject = { ...object, metadata: { ...object.metadata, managedFields } };
    if (target.dryRun === true) return old === undefined ? withoutVersion(written) : written;
    const { deletionTimestamp, finalizers } = written.metadata;
    if (deletionTimestamp !== undefined && (finalizers?.length ?? 0) === 0) {
      this.store.remove(resource.collection, key);
      return written;
    }
    return this.store.put(resource.collection, key, written);
  }

  private requireNamespace({ resource, namespace }: Target): void {
    if (!resource.namespaced || namespace === undefined) return;
    if (this.store.get(namespaces.collection, namespace) === undefined) {
      throw notFound(namespaces, namespace);
    }
  }

  private generatedName(resource: Resource, prefix: string | undefined): string {
    if (prefix === undefined) {
      const message = 'Required value: name or generateName is required';
      throw invalid(resource, '', [
        { reason: 'FieldValueRequired', message, field: 'metadata.name' },
      ]);
    }
    return `${prefix}${randomBytes(5).toString('hex').slice(0, 5)}`;
  }
}

function otherUid(wanted: string, actual: string): string {
  return `StorageError: invalid object, Code: 4, AdditionalErrorMsg: Precondition failed: UID in precondition: ${wanted}, UID in object meta: ${actual}`;
}

/** What was never written has no version. */
function withoutVersion({ metadata, ...rest }: KubeObject): KubeObject {
  const { resourceVersion: _resourceVersion, ...kept } = metadata;
  return { ...rest, metadata: kept } as KubeObject;
}

function withoutStatus({ status: _status, ...rest }: JsonObject): JsonObject {
  return rest;
}

function toObject(value: unknown): JsonObject {
  return isJsonObject(value) ? value : {};
}
