import { isJsonObject, type JsonObject, type ObjectMeta } from './object.ts';
import { badRequest, invalid, type Named } from './refusal.ts';

/** What a client may say in `metadata`. */
export interface AcceptedMetadata {
  readonly name?: string;
  readonly generateName?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  /** What is kept of it: the rest is the server's to say. */
  readonly kept: Pick<ObjectMeta, 'labels' | 'annotations' | 'finalizers' | 'ownerReferences'>;
}

const NAME = /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/;

/**
 * Reads the metadata of a body.
 * @throws Refusal 400 for a wrong type, 422 for a name that is no DNS subdomain
 */
export function acceptedMetadata(metadata: unknown, resource: Named): AcceptedMetadata {
  if (!isJsonObject(metadata)) throw badRequest('metadata must be an object');
  const name = text(metadata, 'name');
  if (name !== undefined && (!NAME.test(name) || name.length > 253)) {
    const rule =
      "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
    throw invalid(resource, name, [
      {
        reason: 'FieldValueInvalid',
        message: `Invalid value: ${JSON.stringify(name)}: ${rule}`,
        field: 'metadata.name',
      },
    ]);
  }
  return {
    ...optional('name', name),
    ...optional('generateName', text(metadata, 'generateName')),
    ...optional('uid', text(metadata, 'uid')),
    ...optional('resourceVersion', text(metadata, 'resourceVersion')),
    kept: {
      ...optional('annotations', texts(metadata, 'annotations')),
      ...optional('finalizers', list(metadata, 'finalizers', isText)),
      ...optional('labels', texts(metadata, 'labels')),
      ...optional('ownerReferences', list(metadata, 'ownerReferences', isJsonObject)),
    },
  };
}

/** The old metadata with what a client may change taken from the new. */
export function mergedMetadata(old: ObjectMeta, kept: AcceptedMetadata['kept']): ObjectMeta {
  const {
    labels: _labels,
    annotations: _annotations,
    finalizers: _finalizers,
    ownerReferences: _ownerReferences,
    ...fixed
  } = old;
  return { ...fixed, ...kept };
}

function optional<Name extends string, Value>(
  name: Name,
  value: Value | undefined,
): Partial<Record<Name, Value>> {
  return value === undefined ? {} : ({ [name]: value } as Record<Name, Value>);
}

function text(metadata: JsonObject, name: string): string | undefined {
  const value = metadata[name];
  if (value === undefined || value === null || value === '') return undefined;
  if (typeof value !== 'string') throw badRequest(`metadata.${name} must be a string`);
  return value;
}

function texts(metadata: JsonObject, name: string): Record<string, string> | undefined {
  const value = metadata[name];
  if (value === undefined || value === null) return undefined;
  if (!isJsonObject(value)) throw badRequest(`metadata.${name} must be an object`);
  const entries = Object.entries(value).map(([key, each]) => {
    if (typeof each !== 'string') {
      throw badRequest(
        `json: cannot unmarshal into Go struct field ObjectMeta.metadata.${name} of type string`,
      );
    }
    return [key, each] as const;
  });
  return entries.length === 0 ? undefined : Object.fromEntries(entries);
}

function list<Item>(
  metadata: JsonObject,
  name: string,
  isItem: (value: unknown) => value is Item,
): readonly Item[] | undefined {
  const value = metadata[name];
  if (value === undefined || value === null) return undefined;
  if (!Array.isArray(value) || !value.every(isItem)) {
    throw badRequest(`metadata.${name} is malformed`);
  }
  return value.length === 0 ? undefined : value;
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}
