import { isDeepStrictEqual } from 'node:util';

import { requireMicroTime } from './lease.ts';
import { isJsonObject, toJsonObject, type JsonObject, type KubeObject } from './object.ts';
import { isQualifiedName, NAME_PART_RULE } from './metadata.ts';
import type { Cause } from './refusal.ts';
import type { Schema } from './schema.ts';

/** The API group by which an Event is read or written. */
export type EventGroup = 'core' | 'events.k8s.io';

const text: Schema = { type: 'string' };
const reference: Schema = {
  type: 'object',
  properties: {
    apiVersion: text,
    fieldPath: text,
    kind: text,
    name: text,
    namespace: text,
    resourceVersion: text,
    uid: text,
  },
};

/** Fields of an Event of the core group, which is how Events are kept. */
export const eventSchema: Schema = {
  type: 'object',
  properties: {
    apiVersion: text,
    kind: text,
    metadata: { type: 'object' },
    action: text,
    count: { type: 'integer' },
    eventTime: text,
    firstTimestamp: { type: 'string', format: 'date-time' },
    involvedObject: { ...reference, default: {} },
    lastTimestamp: { type: 'string', format: 'date-time' },
    message: text,
    reason: text,
    related: reference,
    reportingComponent: text,
    reportingInstance: text,
    series: {
      type: 'object',
      properties: { count: { type: 'integer' }, lastObservedTime: text },
    },
    source: { type: 'object', properties: { component: text, host: text } },
    type: text,
  },
};

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

/** An Event of the core group as it is kept: without what {@link showCoreEvent} adds. */
export function coreEventToStored(object: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(object).filter(([name, value]) => !isEmptyDefault(name, value)),
  );
}

function isEmptyDefault(name: string, value: unknown): boolean {
  return (
    value === null ||
    (name.startsWith('reporting') && value === '') ||
    (name === 'source' && isJsonObject(value) && Object.keys(value).length === 0)
  );
}

/** An Event of `events.k8s.io/v1` in the core group's form. */
export function newEventToStored(object: JsonObject): JsonObject {
  const pairs = renamed.map(([core, own]) => [own, core] as const);
  return coreEventToStored({ ...rename(object, pairs), apiVersion: 'v1' });
}

/** A kept Event as the core group shows it, with the fields that are always there. */
export function showCoreEvent(object: KubeObject): KubeObject {
  return {
    ...object,
    source: object['source'] ?? {},
    firstTimestamp: object['firstTimestamp'] ?? null,
    lastTimestamp: object['lastTimestamp'] ?? null,
    eventTime: object['eventTime'] ?? null,
    reportingComponent: object['reportingComponent'] ?? '',
    reportingInstance: object['reportingInstance'] ?? '',
  };
}

/** A kept Event in the form of `events.k8s.io/v1`, which leaves out an empty reporter. */
export function showNewEvent(object: KubeObject): KubeObject {
  const shown = Object.entries(rename(showCoreEvent(object), renamed)).filter(
    ([name, value]) => !(name.startsWith('reporting') && value === ''),
  );
  const event = { ...Object.fromEntries(shown), apiVersion: 'events.k8s.io/v1' };
  return event as unknown as KubeObject;
}

/** Longest texts of an Event, in bytes (API reference of `events.k8s.io/v1`). */
const NOTE_LENGTH = 1024;
const WORD_LENGTH = 128;

/**
 * What is wrong with an Event. One with an `eventTime` must name its reporter and what it did,
 * whichever group it is written by; `events.k8s.io` takes no other, and there only `series` changes.
 * @throws Refusal 400 for a time that cannot be decoded
 */
export function eventViolations(
  object: JsonObject,
  old: JsonObject | undefined,
  group: EventGroup,
): readonly Cause[] {
  const series = toJsonObject(object['series']);
  requireMicroTime(object['eventTime'], 'Event');
  requireMicroTime(series['lastObservedTime'], 'Event');
  if (old !== undefined && group === 'events.k8s.io') return changedViolations(object, old);
  const timed = typeof object['eventTime'] === 'string';
  const causes = timed ? reporterViolations(object, group) : namespaceViolations(object);
  return group === 'core' ? causes : [...causes, ...strictViolations(object, timed, series)];
}

function namespaceViolations(object: JsonObject): readonly Cause[] {
  const about = toJsonObject(object['involvedObject'])['namespace'];
  const home = toJsonObject(object['metadata'])['namespace'];
  if (home === (about ?? 'default')) return [];
  const message = `Invalid value: ${JSON.stringify(about ?? '')}: does not match event.namespace`;
  return [{ reason: 'FieldValueInvalid', message, field: 'involvedObject.namespace' }];
}

function reporterViolations(object: JsonObject, group: EventGroup): readonly Cause[] {
  const reporter = group === 'core' ? 'reportingComponent' : 'reportingController';
  const { reportingComponent: name = '', message: note = '' } = object;
  const causes: Cause[] = [];
  if (name === '') causes.push(required(reporter));
  else if (typeof name === 'string' && !isQualifiedName(name)) {
    causes.push(invalidField(reporter, `${JSON.stringify(name)}: ${NAME_PART_RULE}`));
  }
  for (const field of ['reportingInstance', 'action', 'reason']) {
    const { [field]: word = '' } = object;
    if (word === '') causes.push(required(field));
    else if (isLonger(word, WORD_LENGTH)) causes.push(tooLong(field, WORD_LENGTH));
  }
  if (isLonger(note, NOTE_LENGTH)) causes.push(tooLong('message', NOTE_LENGTH));
  return causes;
}

function strictViolations(
  object: JsonObject,
  timed: boolean,
  series: JsonObject,
): readonly Cause[] {
  const causes: Cause[] = timed ? [] : [required('eventTime')];
  const { type } = object;
  if (type !== 'Normal' && type !== 'Warning') {
    causes.push(
      invalidField('type', `"": has invalid value: ${typeof type === 'string' ? type : ''}`),
    );
  }
  const { count } = series;
  if (typeof count === 'number' && count < 2) {
    causes.push(invalidField('series.count', '"": should be at least 2'));
  }
  return causes;
}

function changedViolations(object: JsonObject, old: JsonObject): readonly Cause[] {
  const fixed = Object.keys(eventSchema.properties ?? {}).filter(
    (field) => field !== 'series' && field !== 'metadata',
  );
  return fixed
    .filter((field) => !isDeepStrictEqual(object[field], old[field]))
    .map((field) => invalidField(field, `${JSON.stringify(object[field])}: field is immutable`));
}

function isLonger(value: unknown, lengthBytes: number): boolean {
  return typeof value === 'string' && Buffer.byteLength(value) > lengthBytes;
}

function required(field: string): Cause {
  return { reason: 'FieldValueRequired', message: 'Required value', field };
}

function tooLong(field: string, length: number): Cause {
  return invalidField(field, `"": can have at most ${length} characters`);
}

function invalidField(field: string, why: string): Cause {
  return { reason: 'FieldValueInvalid', message: `Invalid value: ${why}`, field };
}
