import { requireArgument } from './refusal.ts';
import { toTimestamp } from './durations.ts';
import type { WireMessage } from './wire.ts';

/** A published message. */
export interface Message {
  /** Unique among all messages of the stand-in. */
  readonly messageId: string;
  readonly data: Buffer;
  readonly attributes: Readonly<Record<string, string>>;
  /** Empty for none. */
  readonly orderingKey: string;
  readonly publishTimeMs: number;
  /** Position among all messages of the stand-in, in the order they were published. */
  readonly sequence: number;
}

/** What a publisher decides about a message. */
export type MessageContent = Pick<Message, 'data' | 'attributes' | 'orderingKey'>;

/** Pub/Sub quotas and limits, "Resource limits": message and publish request. */
export const MESSAGE_LIMITS = {
  /** Of a message, and of all messages of one publish request together: 10 MB. */
  sizeBytes: 10_000_000,
  messagesPerRequest: 1_000,
  attributes: 100,
  attributeKeyBytes: 256,
  attributeValueBytes: 1_024,
  orderingKeyBytes: 1_024,
} as const;

/** Data, attributes and ordering key together, in bytes. */
export function sizeOf(content: MessageContent): number {
  let bytes = content.data.length + Buffer.byteLength(content.orderingKey);
  for (const [key, value] of Object.entries(content.attributes)) {
    bytes += Buffer.byteLength(key) + Buffer.byteLength(value);
  }
  return bytes;
}

/** Refuses a publish request that the product would refuse. @throws Refusal `INVALID_ARGUMENT` */
export function requirePublishable(messages: readonly MessageContent[]): void {
  requireArgument(messages.length > 0, 'The publish request has no messages');
  requireArgument(
    messages.length <= MESSAGE_LIMITS.messagesPerRequest,
    `The publish request has ${messages.length} messages: ${MESSAGE_LIMITS.messagesPerRequest} are allowed`,
  );
  const bytes = messages.reduce((sum, message) => sum + sizeOf(message), 0);
  requireArgument(
    bytes <= MESSAGE_LIMITS.sizeBytes,
    `The publish request has ${bytes} bytes: ${MESSAGE_LIMITS.sizeBytes} are allowed`,
  );
  requireArgument(
    new Set(messages.map(({ orderingKey }) => orderingKey)).size === 1,
    'All messages of a publish request must have the same ordering key',
  );
  for (const message of messages) requireValidMessage(message);
}

function requireValidMessage({ data, attributes, orderingKey }: MessageContent): void {
  const entries = Object.entries(attributes);
  requireArgument(
    data.length > 0 || entries.length > 0,
    'A message must have data or at least one attribute',
  );
  requireArgument(
    entries.length <= MESSAGE_LIMITS.attributes,
    `A message has ${entries.length} attributes: ${MESSAGE_LIMITS.attributes} are allowed`,
  );
  requireArgument(
    Buffer.byteLength(orderingKey) <= MESSAGE_LIMITS.orderingKeyBytes,
    `An ordering key is longer than ${MESSAGE_LIMITS.orderingKeyBytes} bytes`,
  );
  for (const [key, value] of entries) {
    requireArgument(key !== '', 'An attribute has an empty key');
    requireArgument(
      Buffer.byteLength(key) <= MESSAGE_LIMITS.attributeKeyBytes,
      `An attribute's key is longer than ${MESSAGE_LIMITS.attributeKeyBytes} bytes`,
    );
    requireArgument(
      Buffer.byteLength(value) <= MESSAGE_LIMITS.attributeValueBytes,
      `The value of attribute ${key} is longer than ${MESSAGE_LIMITS.attributeValueBytes} bytes`,
    );
  }
}

/** The message as the API gives it. */
export function toWireMessage(message: Message): WireMessage {
  return {
    data: message.data,
    attributes: message.attributes,
    messageId: message.messageId,
    publishTime: toTimestamp(message.publishTimeMs),
    orderingKey: message.orderingKey,
  };
}
