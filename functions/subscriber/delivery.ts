import { decodeEvent, receivedEvent, type ReceivedEvent } from '../contract/codec.ts';
import { MAX_ACCEPTED_BYTES, type MirrorEvent } from '../contract/event.ts';
import { asFields, defined, isFields, type Fields } from '../contract/fields.ts';
import { heartbeatOf } from '../contract/heartbeat.ts';
import { MirrorError } from '../errors.ts';
import { readFluxEvent } from './flux-event.ts';

/** Type that Eventarc, and the framework for a wrapped push, give a Pub/Sub message. */
const MESSAGE_PUBLISHED = 'google.cloud.pubsub.topic.v1.messagePublished';

/** A message as it came, before anything of it is believed; see {@link readDelivery}. */
export interface Delivery {
  /** As they were published, for the dead-letter topic; rebuilt where the push was unwrapped. */
  readonly attributes: Readonly<Record<string, string>>;
  readonly data: Buffer;
  readonly received: ReceivedEvent;
  /** W3C Trace Context of the request, where the publisher traced. */
  readonly traceparent?: string | undefined;
  readonly messageId?: string | undefined;
  /** Subscription that pushed it; told in wrapped form only. */
  readonly subscription?: string | undefined;
  /** Which attempt this is, from 1; told in wrapped form, with a dead-letter policy only. */
  readonly deliveryAttempt?: number | undefined;
}

/**
 * Finds the message in whatever a push is handed on as, by us or by the framework: a binary or
 * structured CloudEvent, a wrapped push or Eventarc's `messagePublished` (converted by the framework
 * or bare), a body without any envelope, bytes, or nothing. Never throws: what is wrong with the
 * content is said by {@link decodeDelivery}.
 */
export function readDelivery(incoming: unknown): Delivery {
  const outer = asFields(incoming);
  const traceparent = textOf(outer['traceparent']);
  const trace = defined({ traceparent });
  const envelope = outer['type'] === MESSAGE_PUBLISHED ? published(outer['data']) : outer;
  if (isFields(envelope['message'])) {
    return { ...unwrapped(envelope, envelope['message']), ...trace };
  }
  if (Buffer.isBuffer(incoming) || typeof incoming === 'string') return bareBody(incoming);
  if (outer['type'] === undefined && outer['specversion'] === undefined) {
    return { attributes: {}, data: bytesOf(incoming), received: { data: incoming }, ...trace };
  }
  return {
    attributes: ceAttributes(outer),
    data: bytesOf(outer['data']),
    received: outer,
    ...trace,
  };
}

/**
 * The event of a delivery. Undefined: a bridge's sign of life, or an event of Flux that asks for nothing
 * (a failed scan, another kind), to be acknowledged.
 * @throws MirrorError `EVENT_UNDECODABLE`, `EVENT_INVALID`, `EVENT_TOO_LARGE` with the field
 */
export function decodeDelivery(
  delivery: Delivery,
  options: { readonly acceptFluxEvents: boolean },
): MirrorEvent | undefined {
  const { received, data } = delivery;
  // guard: event-size
  if (data.length > MAX_ACCEPTED_BYTES) {
    throw new MirrorError('EVENT_TOO_LARGE', `the data has ${data.length} bytes`, {
      operation: 'decode event',
      field: 'data',
    });
  }
  if (heartbeatOf(delivery.attributes) !== undefined) return undefined;
  if (received.type !== undefined) return decodeEvent(received);
  if (data.length === 0) {
    throw new MirrorError('EVENT_UNDECODABLE', 'the message has neither attributes nor data', {
      operation: 'decode event',
      field: 'data',
    });
  }
  if (options.acceptFluxEvents) return readFluxEvent(data);
  return decodeEvent(received);
}

/** A body that nobody has read yet: perhaps a structured CloudEvent or a wrapped push. */
function bareBody(body: Buffer | string): Delivery {
  const data = Buffer.from(body);
  try {
    const parsed: unknown = JSON.parse(data.toString('utf8'));
    if (isFields(parsed)) return readDelivery(parsed);
  } catch {
    // Said by decodeDelivery, which has the bytes.
  }
  return { attributes: {}, data, received: { data } };
}

/** What `messagePublished` carries, parsed by the framework or as the bytes that came. */
function published(data: unknown): Fields {
  if (!Buffer.isBuffer(data) && typeof data !== 'string') return asFields(data);
  try {
    return asFields(JSON.parse(data.toString('utf8')));
  } catch {
    return {};
  }
}

/** A Pub/Sub message out of its wrapping (cloud.google.com/pubsub/docs/push, "Receive messages"). */
function unwrapped(envelope: Fields, message: Fields): Delivery {
  const attributes = Object.fromEntries(
    Object.entries(asFields(message['attributes'])).filter(
      (entry): entry is [string, string] => typeof entry[1] === 'string',
    ),
  );
  const data = Buffer.from(textOf(message['data']) ?? '', 'base64');
  const messageId = textOf(message['messageId']) ?? textOf(message['message_id']);
  const subscription = textOf(envelope['subscription']);
  const attempt = envelope['deliveryAttempt'];
  return {
    attributes,
    data,
    received: receivedEvent({ attributes, data }),
    messageId,
    subscription,
    deliveryAttempt: typeof attempt === 'number' ? attempt : undefined,
  };
}

/** Members of the framework's object that were no attribute of the message. */
const NO_ATTRIBUTE: ReadonlySet<string> = new Set(['data', 'datacontenttype', 'traceparent']);

/**
 * The attributes that an unwrapped push turned into headers, and the framework into an object:
 * those of CloudEvents, extensions included. Others do not reach a function.
 */
function ceAttributes(event: Fields): Readonly<Record<string, string>> {
  const own = Object.entries(event).filter(
    (entry): entry is [string, string] =>
      !NO_ATTRIBUTE.has(entry[0]) && textOf(entry[1]) !== undefined,
  );
  return {
    ...Object.fromEntries(own.map(([name, value]) => [`ce-${name}`, value])),
    'Content-Type': 'application/json',
  };
}

function bytesOf(data: unknown): Buffer {
  if (Buffer.isBuffer(data)) return data;
  if (data === undefined || data === null) return Buffer.alloc(0);
  return Buffer.from(typeof data === 'string' ? data : JSON.stringify(data));
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
