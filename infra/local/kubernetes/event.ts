import { requireMicroTime } from './lease.ts';
import { isJsonObject, type JsonObject, type KubeObject } from './object.ts';
import type { Cause } from './refusal.ts';

/** Fields that `events.k8s.io/v1` calls otherwise than the core group: [core, events.k8s.io]. */
const renamed: readonly (readonly [string, string])[] = [
  ['involvedObject', 'regarding'],
  ['message', 'note'],
  ['source', 'deprecatedSource'],
  ['firstTimestamp', 'deprecatedFirstTimestamp'],
  ['lastTimestamp', 'deprecatedLastTimestamp'],
  ['count', 'deprecatedCount'],
  ['reportingComponent', 'reportingController'],
];

function rename(object: JsonObject, pairs: readonly (readonly [string, string])[]): JsonObject {
  const names = new Map(pairs);
  return Object.fromEntries(
    Object.entries(object).map(([name, value]) => [names.get(name) ?? name, value]),
  );
}

/** An Event of `events.k8s.io/v1` in the core group's form. */
export function eventToCore(object: JsonObject): JsonObject {
  const pairs = renamed.map(([core, own]) => [own, core] as const);
  return { ...rename(object, pairs), apiVersion: 'v1' };
}

/** A kept Event in the form of `events.k8s.io/v1`. */
export function eventFromCore(object: KubeObject): KubeObject {
  return { ...rename(object, renamed), apiVersion: 'events.k8s.io/v1' } as unknown as KubeObject;
}

/** Longest texts of an Event of `events.k8s.io/v1`, in bytes (its API reference). */
const NOTE_LENGTH = 1024;
const WORD_LENGTH = 128;

/**
 * What is wrong with an Event as its group judges it: the core group takes nearly everything,
 * `events.k8s.io` wants a reporter, an action and a time.
 * @throws Refusal 400 for a time that cannot be decoded
 */
export function eventViolations(
  object: JsonObject,
  group: 'core' | 'events.k8s.io',
): readonly Cause[] {
  requireMicroTime(object['eventTime'], 'Event');
  if (isJsonObject(object['series'])) {
    requireMicroTime(object['series']['lastObservedTime'], 'Event');
  }
  const causes: Cause[] = [];
  const about = object['involvedObject'];
  const namespace = isJsonObject(about) ? about['namespace'] : undefined;
  const metadata = isJsonObject(object['metadata']) ? object['metadata'] : {};
  const home = metadata['namespace'];
  if (home !== (namespace ?? 'default')) {
    causes.push({
      reason: 'FieldValueInvalid',
      message: `Invalid value: ${JSON.stringify(namespace ?? '')}: does not match event.namespace`,
      field: 'involvedObject.namespace',
    });
  }
  return group === 'core' ? causes : [...causes, ...strictViolations(object)];
}

function strictViolations(object: JsonObject): readonly Cause[] {
  const causes: Cause[] = [];
  if (object['eventTime'] === undefined || object['eventTime'] === null) {
    causes.push({ reason: 'FieldValueRequired', message: 'Required value', field: 'eventTime' });
  }
  const words: readonly (readonly [string, string])[] = [
    ['reportingComponent', 'reportingController'],
    ['reportingInstance', 'reportingInstance'],
    ['action', 'action'],
    ['reason', 'reason'],
  ];
  for (const [stored, field] of words) {
    const value = object[stored];
    if (typeof value !== 'string' || value === '') {
      causes.push({ reason: 'FieldValueRequired', message: 'Required value', field });
    } else if (Buffer.byteLength(value) > WORD_LENGTH) {
      const message = `Invalid value: "": can have at most ${WORD_LENGTH} characters`;
      causes.push({ reason: 'FieldValueInvalid', message, field });
    }
  }
  if (object['type'] !== 'Normal' && object['type'] !== 'Warning') {
    causes.push({ reason: 'FieldValueInvalid', message: 'Invalid value: ""', field: 'type' });
  }
  const { message: note } = object as { readonly message?: unknown };
  if (typeof note === 'string' && Buffer.byteLength(note) > NOTE_LENGTH) {
    const message = `Invalid value: "": can have at most ${NOTE_LENGTH} characters`;
    causes.push({ reason: 'FieldValueInvalid', message, field: 'message' });
  }
  return causes;
}
