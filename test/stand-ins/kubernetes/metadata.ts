import { isJsonObject, type JsonObject, type ObjectMeta } from './object.ts';
import { badRequest, invalid, invalidValue, type Cause, type Named } from './refusal.ts';

/** What a client may say in `metadata`. */
export interface AcceptedMetadata {
  readonly name?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  /** What is kept of it: the rest is the server's to say. */
  readonly kept: Pick<ObjectMeta, 'labels' | 'annotations' | 'finalizers' | 'ownerReferences'>;
}

const QUALIFIED_NAME =
  /^(?:[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*\/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;
const LABEL_VALUE = /^(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/;

/** What Kubernetes says of a name such as a label's key that it refuses. */
export const NAME_PART_RULE =
  "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE_RULE =
  "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

/** Whether a text can be the key of a label or an annotation. */
export function isQualifiedName(text: string): boolean {
  return QUALIFIED_NAME.test(text);
}

/** Whether a text can be the value of a label. */
export function isLabelValue(text: string): boolean {
  return LABEL_VALUE.test(text);
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
    throw invalid(resource, name, [invalidValue('metadata.name', name, rule)]);
  }
  requireKeys(metadata, name ?? '', resource);
  return {
    ...optional('name', name),
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

function requireKeys(metadata: JsonObject, name: string, resource: Named): void {
  const causes: Cause[] = [];
  for (const field of ['labels', 'annotations']) {
    for (const [key, value] of Object.entries(texts(metadata, field) ?? {})) {
      if (!isQualifiedName(key))
        causes.push(invalidValue(`metadata.${field}`, key, NAME_PART_RULE));
      if (field === 'labels' && !isLabelValue(value)) {
        causes.push(invalidValue('metadata.labels', value, LABEL_VALUE_RULE));
      }
    }
  }
  if (causes.length > 0) throw invalid(resource, name, causes);
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
    // A null decodes to the empty string.
    if (each === null) return [key, ''] as const;
    if (typeof each === 'string') return [key, each] as const;
    throw badRequest(
      `json: cannot unmarshal ${typeof each} into Go struct field ObjectMeta.${name} of type string`,
    );
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
