import { requireArgument, requireImplemented } from './refusal.ts';
import { fromMilliseconds, type WireMessage } from './wire.ts';

/** A published message. */
export interface Message {
  /** Unique among all messages of the stand-in. */
  readonly messageId: string;
  readonly data: Buffer;
  readonly attributes: Readonly<Record<string, string>>;
  readonly publishTimeMs: number;
  /** Position among all messages of the stand-in, in the order they were published. */
  readonly sequence: number;
}

/** What a publisher decides about a message. */
export type MessageContent = Pick<Message, 'data' | 'attributes'>;

/** Pub/Sub quotas and limits, "Resource limits": message and publish request. */
export const MESSAGE_LIMITS = {
  /** Of a message, and of all messages of one publish request together: 10 MB. */
  sizeBytes: 10_000_000,
  messagesPerRequest: 1_000,
  attributes: 100,
  attributeKeyBytes: 256,
  attributeValueBytes: 1_024,
} as const;

/** Data and attributes together, in bytes. */
export function sizeOf(content: MessageContent): number {
  let bytes = content.data.length;
  for (const [key, value] of Object.entries(content.attributes)) {
    bytes += Buffer.byteLength(key) + Buffer.byteLength(value);
  }
  return bytes;
}

/** Refuses a publish request that the product would refuse. @throws Refusal `INVALID_ARGUMENT`, `UNIMPLEMENTED` */
export function requirePublishable(messages: readonly WireMessage[]): void {
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
  for (const message of messages) requireValidMessage(message);
}

function requireValidMessage({ data, attributes, orderingKey }: WireMessage): void {
  requireImplemented(orderingKey !== '' && 'ordering keys');
  const entries = Object.entries(attributes);
  requireArgument(
    data.length > 0 || entries.length > 0,
    'A message must have data or at least one attribute',
  );
  requireArgument(
    entries.length <= MESSAGE_LIMITS.attributes,
    `A message has ${entries.length} attributes: ${MESSAGE_LIMITS.attributes} are allowed`,
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
    publishTime: fromMilliseconds(message.publishTimeMs),
    orderingKey: '',
  };
}
