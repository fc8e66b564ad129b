/** A decoded JSON object of unknown shape. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** The part of Kubernetes' ObjectMeta that the stand-in keeps. */
export interface ObjectMeta {
  readonly name: string;
  readonly namespace?: string;
  readonly uid: string;
  /** Decimal; one counter for all objects of the server, as etcd has it. */
  readonly resourceVersion: string;
  readonly generation?: number;
  /** RFC 3339, whole seconds, UTC. */
  readonly creationTimestamp: string;
  readonly deletionTimestamp?: string;
  readonly deletionGracePeriodSeconds?: number;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly finalizers?: readonly string[];
  readonly ownerReferences?: readonly JsonObject[];
  readonly managedFields?: readonly ManagedFieldsEntry[];
}

/** Who wrote which fields, as the API server notes it. */
export interface ManagedFieldsEntry {
  readonly manager: string;
  readonly operation: string;
  readonly apiVersion: string;
  readonly time?: string;
  readonly fieldsType: 'FieldsV1';
  readonly fieldsV1: JsonObject;
  readonly subresource?: string;
}

/** An object as the store keeps it; never changed in place. */
export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: ObjectMeta;
  readonly [field: string]: unknown;
}

/** Whether a decoded JSON value is an object (neither null nor an array). */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A decoded JSON value where it is an object, otherwise an empty one. */
export function toJsonObject(value: unknown): JsonObject {
  return isJsonObject(value) ? value : {};
}

/** A time as Kubernetes writes it: RFC 3339, whole seconds, UTC. */
export function kubeTime(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}

const serialised = new WeakMap<object, string>();

/** The JSON of a stored object; made once per version, however many watchers read it. */
export function toJson(object: object): string {
  let json = serialised.get(object);
  if (json === undefined) {
    json = JSON.stringify(object);
    serialised.set(object, json);
  }
  return json;
}

/** The same object under another resourceVersion, as a watch tells a deletion. */
export function withResourceVersion(object: KubeObject, resourceVersion: number): KubeObject {
  return {
    ...object,
    metadata: { ...object.metadata, resourceVersion: String(resourceVersion) },
  };
}
