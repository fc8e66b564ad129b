import type { Condition } from './repository.ts';

/** What a condition is to say. */
export type NewCondition = Omit<Condition, 'lastTransitionTime' | 'observedGeneration'>;

type Conditions = readonly Condition[];

/** Where Flux sorts them first: Stalled, Reconciling, Ready. */
const ORDER = ['Stalled', 'Reconciling', 'Ready'];

/** The condition of a type. */
export function find(conditions: Conditions, type: string): Condition | undefined {
  return conditions.find((condition) => condition.type === type);
}

/** The conditions without those of the types. */
export function without(conditions: Conditions, ...types: readonly string[]): Conditions {
  return conditions.filter(({ type }) => !types.includes(type));
}

/**
 * The conditions with one set. Its transition time moves only when status, reason or message do, in
 * comparison with `persisted`, which is what the API server has.
 */
export function set(
  conditions: Conditions,
  condition: NewCondition,
  context: { readonly persisted: Conditions; readonly generation: number; readonly now: string },
): Conditions {
  const before = find(context.persisted, condition.type);
  const same =
    before?.status === condition.status &&
    before.reason === condition.reason &&
    before.message === condition.message;
  const next: Condition = {
    lastTransitionTime: same ? before.lastTransitionTime : context.now,
    message: condition.message,
    observedGeneration: context.generation,
    reason: condition.reason,
    status: condition.status,
    type: condition.type,
  };
  return [...without(conditions, condition.type), next].sort(
    (a, b) => ORDER.indexOf(a.type) - ORDER.indexOf(b.type),
  );
}
