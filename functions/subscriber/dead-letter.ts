import type { EncodedEvent } from '../contract/codec.ts';
import type { MirrorError } from '../errors.ts';

/** Attributes that a message of the dead-letter topic has beside its own. */
export const ERROR_CODE = 'error-code';
/** Path of the offending field, where there is one. */
export const ERROR_FIELD = 'error-field';

/**
 * Bytes of the data before it was cut, where the message was too large to be put aside whole. It stays
 * when the message is sent again: what was cut is no event, being over the 1 MiB of one.
 */
export const ERROR_DATA_BYTES = 'error-data-bytes';

/** Most attributes of a message and longest value in bytes (cloud.google.com/pubsub/quotas). */
const MAX_ATTRIBUTES = 100;
const MAX_VALUE_BYTES = 1024;

/**
 * Largest message that is put aside, in bytes of its data and attributes: Pub/Sub's 10 MB
 * (10,000,000 bytes, of the whole publish request), less room for the request around it.
 */
const MAX_MESSAGE_BYTES = 9_990_000;

/**
 * The message that goes to the dead-letter topic for one that can never succeed: its own attributes
 * and data, and why. Where Pub/Sub would refuse so many attributes, those of CloudEvents are kept;
 * where it would refuse so many bytes, the data is cut and {@link ERROR_DATA_BYTES} says so.
 */
export function deadLetter(
  message: EncodedEvent,
  fault: Pick<MirrorError, 'code' | 'field'>,
): EncodedEvent {
  const own = Object.entries(message.attributes)
    .filter(([name]) => name !== ERROR_CODE && name !== ERROR_FIELD)
    .sort(([left], [right]) => rank(left) - rank(right));
  const why = [
    [ERROR_CODE, fault.code],
    ...(fault.field === undefined ? [] : [[ERROR_FIELD, cut(fault.field)]]),
  ] as [string, string][];
  const attributes = Object.fromEntries([...own.slice(0, MAX_ATTRIBUTES - 2), ...why]);
  const { data } = message;
  if (data.length + sizeOf(attributes) <= MAX_MESSAGE_BYTES) return { attributes, data };
  const marked = Object.fromEntries([
    ...own.filter(([name]) => name !== ERROR_DATA_BYTES).slice(0, MAX_ATTRIBUTES - 3),
    ...why,
    [ERROR_DATA_BYTES, message.attributes[ERROR_DATA_BYTES] ?? String(data.length)],
  ]) as Record<string, string>;
  return { attributes: marked, data: data.subarray(0, MAX_MESSAGE_BYTES - sizeOf(marked)) };
}

/** A message of the dead-letter topic as it was before: without what the topic's readers were told. */
export function replayed(message: EncodedEvent): EncodedEvent {
  const added = (name: string): boolean =>
    name === ERROR_CODE || name === ERROR_FIELD || name.startsWith('CloudPubSubDeadLetterSource');
  return {
    attributes: Object.fromEntries(
      Object.entries(message.attributes).filter(([name]) => !added(name)),
    ),
    data: message.data,
  };
}

function sizeOf(attributes: Readonly<Record<string, string>>): number {
  return Object.entries(attributes).reduce(
    (sum, [name, value]) => sum + Buffer.byteLength(name) + Buffer.byteLength(value),
    0,
  );
}

function rank(name: string): number {
  return name.startsWith('ce-') || name.toLowerCase() === 'content-type' ? 0 : 1;
}

function cut(value: string): string {
  const bytes = Buffer.from(value);
  return bytes.length <= MAX_VALUE_BYTES
    ? value
    : bytes.subarray(0, MAX_VALUE_BYTES - 3).toString('utf8');
}
