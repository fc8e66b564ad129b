import { MirrorError } from '../errors.ts';
import {
  MAX_ACCEPTED_BYTES,
  MAX_CONTINUATIONS,
  MAX_PUBLISHED_BYTES,
  MAX_TAGS,
  PROVIDERS,
  REASONS,
  REVISION_CHANGED,
  TAGS_REQUESTED,
  VERIFY,
  type MirrorEvent,
  type MirrorRequest,
} from './event.ts';
import {
  arrayAt,
  booleanAt,
  integerAt,
  literalAt,
  objectAt,
  optional,
  stringAt,
  timeAt,
  type Fields,
} from './fields.ts';
import { readPlatforms } from './platform.ts';
import { requirePatterns } from './patterns.ts';
import { readSelection } from './selection.ts';

/** A Pub/Sub message as the client library takes and gives it. */
export interface EncodedEvent {
  readonly attributes: Readonly<Record<string, string>>;
  /** UTF-8 JSON of the request. */
  readonly data: Buffer;
}

/** A CloudEvent as any of its forms carries it: attributes and parsed or raw data. */
export interface ReceivedEvent {
  readonly type?: unknown;
  readonly id?: unknown;
  readonly source?: unknown;
  readonly subject?: unknown;
  readonly time?: unknown;
  readonly data?: unknown;
}

/**
 * Writes an event in the Pub/Sub binding of CloudEvents 1.0, binary mode: attributes `ce-…` and
 * `Content-Type`, the request as JSON.
 * @throws MirrorError `EVENT_TOO_LARGE` over 1,000 tags or 256 KiB
 */
export function encodeEvent(event: MirrorEvent): EncodedEvent {
  const data = Buffer.from(JSON.stringify(event.data));
  // guard: event-published
  const tags = event.data.tags?.length ?? 0;
  if (data.length > MAX_PUBLISHED_BYTES || tags > MAX_TAGS) {
    throw new MirrorError(
      'EVENT_TOO_LARGE',
      `event of ${data.length} bytes with ${tags} tags is too large to publish: at most ` +
        `${MAX_PUBLISHED_BYTES} bytes and ${MAX_TAGS} tags`,
      {
        operation: 'encode event',
        field: 'data',
      },
    );
  }
  return {
    attributes: {
      'ce-specversion': '1.0',
      'ce-id': event.id,
      'ce-type': event.type,
      'ce-source': event.source,
      'ce-subject': event.subject,
      'ce-time': event.time,
      'Content-Type': 'application/json',
    },
    data,
  };
}

/**
 * The attributes and data of a message as a received event: its CloudEvent attributes, or what the data
 * holds in structured mode (CloudEvents 1.0, Pub/Sub protocol binding).
 */
export function receivedEvent({ attributes, data }: EncodedEvent): ReceivedEvent {
  const structured = structuredEvent(attributes, data);
  if (structured !== undefined) return structured;
  return {
    type: attributes['ce-type'],
    id: attributes['ce-id'],
    source: attributes['ce-source'],
    subject: attributes['ce-subject'],
    time: attributes['ce-time'],
    data,
  };
}

function structuredEvent(
  attributes: Readonly<Record<string, string>>,
  data: Buffer,
): ReceivedEvent | undefined {
  const type = attributes['content-type'] ?? attributes['Content-Type'] ?? '';
  if (!type.startsWith('application/cloudevents+json')) return undefined;
  try {
    return objectAt(JSON.parse(data.toString('utf8')), 'data');
  } catch {
    // Without its type it is refused with the field that is missing.
    return undefined;
  }
}

/**
 * Reads an event, whoever sent it. Unknown fields are ignored; a wrong type is refused with the
 * field's path.
 * @throws MirrorError `EVENT_UNDECODABLE` when the data is no JSON object, `EVENT_INVALID` with the
 *   field, `EVENT_TOO_LARGE` over 1 MiB or 1,000 tags
 */
export function decodeEvent(received: ReceivedEvent): MirrorEvent {
  const envelope = received as Fields;
  const type = literalAt(envelope, 'type', '', [REVISION_CHANGED, TAGS_REQUESTED]);
  const data = readRequest(objectAt(parsed(received.data), 'data'), type);
  return {
    type,
    id: stringAt(envelope, 'id', '', 1, 256),
    source: stringAt(envelope, 'source', '', 1, 1024),
    subject:
      optional(envelope, 'subject', () => stringAt(envelope, 'subject', '', 1, 1024)) ?? data.image,
    time: timeAt(envelope, 'time', ''),
    data,
  };
}

function parsed(data: unknown): unknown {
  const text = Buffer.isBuffer(data) ? data.toString('utf8') : data;
  if (typeof text !== 'string') return data;
  const sizeBytes = Buffer.byteLength(text);
  // guard: event-size
  if (sizeBytes > MAX_ACCEPTED_BYTES) throw tooLarge('data', `${sizeBytes} bytes`);
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new MirrorError('EVENT_UNDECODABLE', 'the data is no JSON', {
      operation: 'decode event',
      field: 'data',
    });
  }
}

function readRequest(fields: Fields, type: MirrorEvent['type']): MirrorRequest {
  const at = 'data';
  const identity = objectAt(fields['imageRepository'], 'data.imageRepository');
  const tags = optional(fields, 'tags', () => readTags(fields));
  if (type === TAGS_REQUESTED && tags === undefined) throw missing('data.tags');
  const exclusionList = arrayAt(fields, 'exclusionList', at).map((_value, index, all) =>
    stringAt(all as unknown as Fields, String(index), 'data.exclusionList', 0, 512),
  );
  requirePatterns(exclusionList, 'data.exclusionList');
  return withoutUndefined({
    imageRepository: {
      namespace: stringAt(identity, 'namespace', 'data.imageRepository', 1, 253),
      name: stringAt(identity, 'name', 'data.imageRepository', 1, 253),
      uid: stringAt(identity, 'uid', 'data.imageRepository', 1, 128),
    },
    image: stringAt(fields, 'image', at, 1, 512),
    revision: stringAt(fields, 'revision', at, 0, 256),
    previousRevision: optional(fields, 'previousRevision', () =>
      stringAt(fields, 'previousRevision', at, 0, 256),
    ),
    tagCount: integerAt(fields, 'tagCount', at, 0, Number.MAX_SAFE_INTEGER),
    scanTime: timeAt(fields, 'scanTime', at),
    exclusionList,
    reason: literalAt(fields, 'reason', at, REASONS),
    selection: optional(fields, 'selection', () =>
      readSelection(fields['selection'], 'data.selection'),
    ),
    platforms: optional(fields, 'platforms', () => readPlatforms(fields, 'platforms', at)),
    tags: type === TAGS_REQUESTED ? tags : undefined,
    destination: optional(fields, 'destination', () => stringAt(fields, 'destination', at, 1, 512)),
    verify: optional(fields, 'verify', () => literalAt(fields, 'verify', at, VERIFY)),
    provider: optional(fields, 'provider', () => literalAt(fields, 'provider', at, PROVIDERS)),
    insecure: optional(fields, 'insecure', () => booleanAt(fields, 'insecure', at)),
    continuation: optional(fields, 'continuation', () =>
      integerAt(fields, 'continuation', at, 0, MAX_CONTINUATIONS),
    ),
  });
}

/** Tags as texts only: their grammar is the concern of each tag, not of the event. */
function readTags(fields: Fields): readonly string[] {
  const tags = arrayAt(fields, 'tags', 'data');
  // guard: event-tags
  if (tags.length > MAX_TAGS) throw tooLarge('data.tags', `${tags.length} tags`);
  if (tags.length === 0) throw missing('data.tags');
  return tags.map((_tag, index) =>
    stringAt(tags as unknown as Fields, String(index), 'data.tags', 1, 512),
  );
}

/** The same object without its undefined members, which JSON could not tell from absent ones. */
function withoutUndefined(fields: {
  readonly [K in keyof MirrorRequest]: MirrorRequest[K] | undefined;
}): MirrorRequest {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined),
  ) as unknown as MirrorRequest;
}

function missing(field: string): MirrorError {
  return new MirrorError('EVENT_INVALID', `${field} is missing`, {
    operation: 'decode event',
    field,
  });
}

function tooLarge(field: string, size: string): MirrorError {
  return new MirrorError('EVENT_TOO_LARGE', `${field} has ${size}`, {
    operation: 'decode event',
    field,
  });
}
