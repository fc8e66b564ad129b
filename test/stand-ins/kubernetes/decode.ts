import { isJsonObject, type JsonObject } from './object.ts';
import { badRequest, invalid } from './refusal.ts';
import { groupVersion, type Resource } from './resource.ts';
import { unknownFields, type Schema } from './schema.ts';

/** Where a body is sent to. */
export interface Destination {
  readonly resource: Resource;
  readonly namespace?: string;
  readonly name?: string;
  /** Whether fields that the kind does not know are refused, not dropped. */
  readonly strict?: boolean;
}

/**
 * The body as the collection keeps it, its kind and namespace checked.
 * @throws Refusal 400, 422
 */
export function decode(target: Destination, body: JsonObject): JsonObject {
  const { resource, namespace } = target;
  const { apiVersion = groupVersion(resource), kind = resource.kind, metadata } = body;
  if (apiVersion !== groupVersion(resource)) {
    throw badRequest(
      `the API version in the data (${String(apiVersion)}) does not match the expected API version (${groupVersion(resource)})`,
    );
  }
  if (kind !== resource.kind) {
    const message = `Invalid value: ${JSON.stringify(kind)}: must be ${resource.kind}`;
    const { name = '' } = toObject(metadata);
    throw invalid({ ...resource, kind: String(kind) }, String(name), [
      { reason: 'FieldValueInvalid', message, field: 'kind' },
    ]);
  }
  const named = toObject(metadata)['namespace'];
  if (named !== undefined && named !== namespace) {
    throw badRequest(
      'the namespace of the provided object does not match the namespace sent on the request',
    );
  }
  if (target.strict === true && resource.schema !== undefined) {
    requireKnownFields(body, resource.schema);
  }
  const home = namespace === undefined ? {} : { namespace };
  return resource.toStored({
    ...body,
    apiVersion,
    kind,
    metadata: { ...toObject(metadata), ...home },
  });
}

/**
 * Refuses a body with another name than the URL has.
 * @throws Refusal 400
 */
export function requireName({ name = '' }: Destination, given: unknown): void {
  if (given === name) return;
  throw badRequest(
    typeof given === 'string'
      ? `the name of the object (${given}) does not match the name on the URL (${name})`
      : `the name of the object (${name} based on URL) was undeterminable: name must be provided`,
  );
}

/** @throws Refusal 400 */
function requireKnownFields(body: JsonObject, schema: Schema): void {
  const unknown = unknownFields(body, schema).map((path) => `unknown field "${path}"`);
  if (unknown.length > 0) throw badRequest(`strict decoding error: ${unknown.join(', ')}`);
}

function toObject(value: unknown): JsonObject {
  return isJsonObject(value) ? value : {};
}
