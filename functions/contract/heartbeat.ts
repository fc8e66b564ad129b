import { randomUUID } from 'node:crypto';

import { MirrorError } from '../errors.ts';
import type { EncodedEvent } from './codec.ts';

/** CloudEvents type of a bridge's sign of life: a message of attributes alone. */
const HEARTBEAT = 'io.imagerepo-mirror.bridge.alive.v1';

/** What a bridge says of itself every 5 minutes. */
export interface Heartbeat {
  /** `CLUSTER_NAME` of the bridge: 1 to 100 letters, digits, `.`, `_`, `~` or `-`. */
  readonly cluster: string;
  /** ImageRepositories that it watches. */
  readonly watched: number;
  /** Of these, those that it does not publish until they are mended. */
  readonly refused: number;
}

/** A metric's label is made of it, so it is as narrow as the option of the bridge. */
const CLUSTER = /^[\w.~-]{1,100}$/;
const COUNT = /^\d{1,9}$/;

/** Writes a sign of life: CloudEvents 1.0, binary mode of the Pub/Sub binding, without data. */
export function encodeHeartbeat(
  { cluster, watched, refused }: Heartbeat,
  time: Date,
): EncodedEvent {
  return {
    attributes: {
      'ce-specversion': '1.0',
      'ce-id': randomUUID(),
      'ce-type': HEARTBEAT,
      'ce-source': `//${cluster}`,
      'ce-time': time.toISOString(),
      'ce-cluster': cluster,
      'ce-watched': String(watched),
      'ce-refused': String(refused),
    },
    data: Buffer.alloc(0),
  };
}

/**
 * The sign of life that a message's attributes are, or undefined where they are something else.
 * @throws MirrorError `EVENT_INVALID` with the attribute
 */
export function heartbeatOf(attributes: Readonly<Record<string, string>>): Heartbeat | undefined {
  if (attributes['ce-type'] !== HEARTBEAT) return undefined;
  return {
    cluster: attributeAt(attributes, 'ce-cluster', CLUSTER),
    watched: Number(attributeAt(attributes, 'ce-watched', COUNT)),
    refused: Number(attributeAt(attributes, 'ce-refused', COUNT)),
  };
}

function attributeAt(
  attributes: Readonly<Record<string, string>>,
  name: string,
  grammar: RegExp,
): string {
  const value = attributes[name] ?? '';
  if (!grammar.test(value)) {
    throw new MirrorError('EVENT_INVALID', `the attribute ${name} is not of its grammar`, {
      operation: 'decode event',
      field: name,
    });
  }
  return value;
}
