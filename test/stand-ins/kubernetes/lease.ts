import { toJsonObject, type JsonObject } from './object.ts';
import { badRequest, invalidValue, type Cause } from './refusal.ts';
import type { Schema } from './schema.ts';

/** Fields of a Lease of `coordination.k8s.io/v1`. */
export const leaseSchema: Schema = {
  type: 'object',
  properties: {
    apiVersion: { type: 'string' },
    kind: { type: 'string' },
    metadata: { type: 'object' },
    spec: {
      type: 'object',
      default: {},
      properties: {
        acquireTime: { type: 'string' },
        holderIdentity: { type: 'string' },
        leaseDurationSeconds: { type: 'integer' },
        leaseTransitions: { type: 'integer' },
        preferredHolder: { type: 'string' },
        renewTime: { type: 'string' },
        strategy: { type: 'string' },
      },
    },
  },
};

/** MicroTime: exactly six digits of a second. JavaScript's own ISO form has three and is refused. */
const MICRO_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d)$/;

/**
 * What is wrong with a Lease.
 * @throws Refusal 400 for a time that cannot be decoded
 */
export function leaseViolations(object: JsonObject): readonly Cause[] {
  const spec = toJsonObject(object['spec']);
  for (const name of ['acquireTime', 'renewTime']) requireMicroTime(spec[name], 'Lease');
  const causes: Cause[] = [];
  const duration = spec['leaseDurationSeconds'];
  const transitions = spec['leaseTransitions'];
  if (typeof duration === 'number' && duration <= 0) {
    causes.push(invalidValue('spec.leaseDurationSeconds', duration, 'must be greater than 0'));
  }
  if (typeof transitions === 'number' && transitions < 0) {
    const rule = 'must be greater than or equal to 0';
    causes.push(invalidValue('spec.leaseTransitions', transitions, rule));
  }
  return causes;
}

/**
 * Refuses a text that Kubernetes cannot decode as a MicroTime.
 * @throws Refusal 400
 */
export function requireMicroTime(value: unknown, kind: string): void {
  if (value === undefined || value === null) return;
  if (typeof value === 'string' && MICRO_TIME.test(value)) return;
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  const rest = text.replace(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/, '');
  const expected = rest === text ? '2006' : '.000000';
  throw badRequest(
    `${kind} in version "v1" cannot be handled as a ${kind}: parsing time "${text}" as "2006-01-02T15:04:05.000000Z07:00": cannot parse "${rest}" as "${expected}"`,
  );
}
