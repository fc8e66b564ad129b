import { requireMicroTime } from './lease.ts';
import { toJsonObject, type JsonObject } from './object.ts';
import { isQualifiedName, NAME_PART_RULE } from './metadata.ts';
import { invalidValue, required, type Cause } from './refusal.ts';
import type { Schema } from './schema.ts';

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

/** Fields of an Event of the core group. */
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

/** Longest texts of an Event, in bytes (API reference of `events.k8s.io/v1`). */
const NOTE_LENGTH = 1024;
const WORD_LENGTH = 128;

/**
 * What is wrong with an Event. One with an `eventTime` must name its reporter and what it did.
 * @throws Refusal 400 for a time that cannot be decoded
 */
export function eventViolations(object: JsonObject): readonly Cause[] {
  requireMicroTime(object['eventTime'], 'Event');
  requireMicroTime(toJsonObject(object['series'])['lastObservedTime'], 'Event');
  return typeof object['eventTime'] === 'string'
    ? reporterViolations(object)
    : namespaceViolations(object);
}

function namespaceViolations(object: JsonObject): readonly Cause[] {
  const about = toJsonObject(object['involvedObject'])['namespace'];
  const home = toJsonObject(object['metadata'])['namespace'];
  if (home === (about ?? 'default')) return [];
  const rule = 'does not match event.namespace';
  return [invalidValue('involvedObject.namespace', about ?? '', rule)];
}

function reporterViolations(object: JsonObject): readonly Cause[] {
  const reporter = 'reportingComponent';
  const { reportingComponent: name = '', message: note = '' } = object;
  const causes: Cause[] = [];
  if (name === '') causes.push(required(reporter));
  else if (typeof name === 'string' && !isQualifiedName(name)) {
    causes.push(invalidValue(reporter, name, NAME_PART_RULE));
  }
  for (const field of ['reportingInstance', 'action', 'reason']) {
    const { [field]: word = '' } = object;
    if (word === '') causes.push(required(field));
    else if (isLonger(word, WORD_LENGTH)) causes.push(tooLong(field, WORD_LENGTH));
  }
  if (isLonger(note, NOTE_LENGTH)) causes.push(tooLong('message', NOTE_LENGTH));
  return causes;
}

function isLonger(value: unknown, lengthBytes: number): boolean {
  return typeof value === 'string' && Buffer.byteLength(value) > lengthBytes;
}

function tooLong(field: string, length: number): Cause {
  return invalidValue(field, '', `can have at most ${length} characters`);
}
