import type { Delivery } from './delivery.ts';
import type { PushConfig, SubscriptionConfig } from './subscription-config.ts';

/** An HTTP request that delivers a message; always a POST. */
export interface PushRequest {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** Headers that belong to the connection or the sender, so that no attribute becomes one of them. */
const RESERVED_HEADERS: ReadonlySet<string> = new Set([
  'authorization',
  'connection',
  'content-length',
  'expect',
  'host',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** A field name of RFC 9110 §5.1. */
const HEADER_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** What stands in no field value: control characters other than tab (RFC 9110 §5.5). */
// eslint-disable-next-line no-control-regex -- control characters are what it looks for
const NO_HEADER_VALUE = /[\0-\x08\n-\x1f\x7f]/;

/** What the product calls itself. */
const USER_AGENT = 'APIs-Google; (+https://developers.google.com/webmasters/APIs-Google.html)';

/**
 * The request that delivers a message in the format of the subscription's push configuration;
 * undefined where an attribute that has to be a header cannot be one: no request can carry it, so
 * the message is never delivered.
 */
export function pushRequest(
  delivery: Delivery,
  format: PushConfig['format'],
  subscription: SubscriptionConfig,
): PushRequest | undefined {
  const wrapped = format === 'wrapped';
  const body = wrapped ? wrappedBody(delivery, subscription) : delivery.message.data;
  const metadata = format === 'unwrapped-with-metadata' ? metadataOf(delivery, subscription) : {};
  if (metadata === undefined) return undefined;
  return {
    headers: {
      accept: 'application/json',
      'user-agent': USER_AGENT,
      ...(wrapped ? { 'content-type': 'application/json' } : {}),
      ...metadata,
      'content-length': String(body.length),
    },
    body,
  };
}

/** Attributes as headers under their own names, the rest as `x-goog-pubsub-…` (pubsub.proto, NoWrapper.write_metadata). */
function metadataOf(
  { message }: Delivery,
  subscription: SubscriptionConfig,
): Readonly<Record<string, string>> | undefined {
  const headers: Record<string, string> = {
    'x-goog-pubsub-subscription-name': subscription.name,
    'x-goog-pubsub-message-id': message.messageId,
    'x-goog-pubsub-publish-time': new Date(message.publishTimeMs).toISOString(),
  };
  for (const [key, value] of Object.entries(message.attributes)) {
    const name = key.toLowerCase();
    if (!RESERVED_HEADERS.has(name) && !name.startsWith('x-goog-')) headers[name] = value;
  }
  const sendable = Object.entries(headers).every(
    ([name, value]) => HEADER_NAME.test(name) && !NO_HEADER_VALUE.test(value),
  );
  if (!sendable) return undefined;
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, headerText(value)]),
  );
}

/** Header values are bytes; Node writes each character of the text as one. */
function headerText(value: string): string {
  return Buffer.from(value).toString('latin1');
}

/** The JSON of a wrapped push: names in both cases, absent what is empty (Pub/Sub, "Push subscriptions", wrapped). */
function wrappedBody({ message, attempt }: Delivery, subscription: SubscriptionConfig): Buffer {
  const publishTime = new Date(message.publishTimeMs).toISOString();
  const wrapped = {
    ...(subscription.deadLetter !== undefined ? { deliveryAttempt: attempt } : {}),
    message: {
      ...(Object.keys(message.attributes).length === 0 ? {} : { attributes: message.attributes }),
      ...(message.data.length === 0 ? {} : { data: message.data.toString('base64') }),
      messageId: message.messageId,
      message_id: message.messageId,
      publishTime,
      publish_time: publishTime,
    },
    subscription: subscription.name,
  };
  return Buffer.from(JSON.stringify(wrapped));
}
