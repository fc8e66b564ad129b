import type { KubeObject } from './object.ts';
import { badRequest, invalid, type Cause } from './refusal.ts';
import type { Resource } from './resource.ts';
import { violations } from './schema.ts';

/**
 * Refuses an object that its schema or its kind does not allow; `old` is the one that it replaces.
 * @throws Refusal 400, 422
 */
export function validate(
  { resource, subresource }: { readonly resource: Resource; readonly subresource?: string },
  name: string,
  object: KubeObject,
  old: KubeObject | undefined,
): void {
  const { apiVersion: _apiVersion, kind: _kind, metadata: _metadata, ...content } = object;
  const wrong = resource.schema === undefined ? [] : violations(content, resource.schema, '');
  // A status is validated by itself: its messages name fields from there on.
  const shown = wrong.map((cause) =>
    subresource === 'status'
      ? { ...cause, message: cause.message.replace(/: status\.(\S+ in body)/, ': $1') }
      : cause,
  );
  if (!resource.custom) requireDecodable(resource, wrong);
  const causes = [...shown, ...resource.violations(object, old)];
  // Events are judged in the form in which they are kept.
  const group = resource.collection === 'events' ? '' : resource.group;
  if (causes.length > 0) throw invalid({ ...resource, group }, name, causes);
}

/**
 * What is being deleted only waits for the finalizers that it has.
 * @throws Refusal 422
 */
export function requireNoNewFinalizers(
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

/**
 * Built-in kinds are decoded into typed structures: a wrong type is not invalid but unreadable.
 * @throws Refusal 400
 */
function requireDecodable({ kind }: Resource, causes: readonly Cause[]): void {
  for (const { reason, field = '', message } of causes) {
    if (reason !== 'FieldValueTypeInvalid') continue;
    const [, wanted = '', actual = ''] = /of type (\w+): "(\w+)"/.exec(message) ?? [];
    const type = wanted === 'integer' ? 'int32' : wanted;
    throw badRequest(
      `${kind} in version "v1" cannot be handled as a ${kind}: json: cannot unmarshal ${actual} into Go struct field ${kind}Spec.${field} of type ${type}`,
    );
  }
}
