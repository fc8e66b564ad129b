import type { EncodedEvent } from '../contract/codec.ts';
import type { Fault } from '../fault.ts';

/** Attributes that a message of the dead-letter topic has beside its own. */
export const ERROR_CODE = 'error-code';
/** Path of the offending field, where there is one. */
export const ERROR_FIELD = 'error-field';

/** Most attributes of a message and longest value in bytes (cloud.google.com/pubsub/quotas). */
const MAX_ATTRIBUTES = 100;
const MAX_VALUE_BYTES = 1024;

/**
 * The message that goes to the dead-letter topic for one that can never succeed: its own attributes
 * and data, and why. Where Pub/Sub would refuse so many attributes, those of CloudEvents are kept.
 */
export function deadLetter(
  message: EncodedEvent,
  fault: Pick<Fault, 'code' | 'field'>,
): EncodedEvent {
  const own = Object.entries(message.attributes)
    .filter(([name]) => name !== ERROR_CODE && name !== ERROR_FIELD)
    .sort(([left], [right]) => rank(left) - rank(right))
    .slice(0, MAX_ATTRIBUTES - 2);
  return {
    attributes: Object.fromEntries([
      ...own,
      [ERROR_CODE, fault.code],
      ...(fault.field === undefined ? [] : [[ERROR_FIELD, cut(fault.field)]]),
    ]) as Record<string, string>,
    data: message.data,
  };
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

function rank(name: string): number {
  return name.startsWith('ce-') || name.toLowerCase() === 'content-type' ? 0 : 1;
}

function cut(value: string): string {
  const bytes = Buffer.from(value);
  return bytes.length <= MAX_VALUE_BYTES
    ? value
    : bytes.subarray(0, MAX_VALUE_BYTES - 3).toString('utf8');
}
