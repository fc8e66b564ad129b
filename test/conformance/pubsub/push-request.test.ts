import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Message } from '../../stand-ins/pubsub/message.ts';
import type { PushConfig } from '../../stand-ins/pubsub/push-config.ts';
import {
  ACKNOWLEDGING_STATUSES,
  pushRequest,
  type PushOrigin,
  type PushRequest,
} from '../../stand-ins/pubsub/push-request.ts';

const nowMs = Date.UTC(2026, 0, 2);
const subscription = 'projects/p/subscriptions/abc';

function request(
  message: Partial<Message>,
  config: Partial<PushConfig>,
  origin: Partial<PushOrigin> = {},
): PushRequest | undefined {
  const whole: Message = {
    messageId: '17',
    data: Buffer.from('hello'),
    attributes: {},
    orderingKey: '',
    publishTimeMs: Date.UTC(2026, 0, 1, 12, 30, 15, 250),
    sequence: 0,
    ...message,
  };
  return pushRequest(
    { ackId: '17-1', message: whole, attempt: 3 },
    {
      subscription,
      config: { endpoint: 'http://127.0.0.1:1/push', format: 'wrapped', ...config },
      countsAttempts: false,
      ...origin,
    },
    nowMs,
  );
}

function headersOf(
  message: Partial<Message>,
  format: PushConfig['format'] = 'unwrapped-with-metadata',
): Readonly<Record<string, string>> | undefined {
  return request(message, { format })?.headers;
}

describe('wrapped push', () => {
  it('is JSON with names in both cases', () => {
    const { headers, body } = request({ attributes: { a: 'b' }, orderingKey: 'key' }, {}) ?? {};
    assert.equal(headers?.['content-type'], 'application/json');
    assert.equal(headers['content-length'], String(body?.length));
    assert.deepEqual(JSON.parse(String(body)), {
      message: {
        attributes: { a: 'b' },
        data: Buffer.from('hello').toString('base64'),
        messageId: '17',
        message_id: '17',
        orderingKey: 'key',
        publishTime: '2026-01-01T12:30:15.250Z',
        publish_time: '2026-01-01T12:30:15.250Z',
      },
      subscription,
    });
  });

  it('leaves out what is empty', () => {
    const { body } = request({ data: Buffer.alloc(0), attributes: { a: 'b' } }, {}) ?? {};
    const { message } = JSON.parse(String(body)) as { readonly message: object };
    assert.deepEqual(Object.keys(message), [
      'attributes',
      'messageId',
      'message_id',
      'publishTime',
      'publish_time',
    ]);
  });

  it('tells the attempt where a dead-letter policy counts it', () => {
    const { body } = request({}, {}, { countsAttempts: true }) ?? {};
    assert.equal((JSON.parse(String(body)) as Record<string, unknown>)['deliveryAttempt'], 3);
  });

  it('does not make headers of attributes', () => {
    assert.equal(headersOf({ attributes: { a: 'b' } }, 'wrapped')?.['a'], undefined);
  });
});

describe('unwrapped push', () => {
  it('is the data alone', () => {
    const { headers, body } = request({ attributes: { a: 'b' } }, { format: 'unwrapped' }) ?? {};
    assert.deepEqual(body, Buffer.from('hello'));
    assert.deepEqual(Object.keys(headers ?? {}), ['accept', 'user-agent', 'content-length']);
  });

  it('writes attributes and metadata as headers, so that a CloudEvent arrives in binary mode', () => {
    const headers = headersOf({
      attributes: {
        'ce-specversion': '1.0',
        'ce-id': 'id',
        'Content-Type': 'application/json',
      },
      orderingKey: 'key',
    });
    assert.equal(headers?.['ce-specversion'], '1.0');
    assert.equal(headers['ce-id'], 'id');
    assert.equal(headers['content-type'], 'application/json');
    assert.equal(headers['x-goog-pubsub-subscription-name'], subscription);
    assert.equal(headers['x-goog-pubsub-message-id'], '17');
    assert.equal(headers['x-goog-pubsub-publish-time'], '2026-01-01T12:30:15.250Z');
    assert.equal(headers['x-goog-pubsub-ordering-key'], 'key');
  });

  it('has no ordering header without an ordering key and no Content-Type without the attribute', () => {
    const headers = headersOf({});
    assert.equal(headers?.['x-goog-pubsub-ordering-key'], undefined);
    assert.equal(headers?.['content-type'], undefined);
  });

  it('lets no attribute take the place of what belongs to the request', () => {
    const headers = headersOf({
      attributes: {
        Host: 'evil',
        'content-length': '99',
        authorization: 'Bearer x',
        'x-goog-pubsub-message-id': '1',
        kept: 'yes',
      },
    });
    assert.equal(headers?.['host'], undefined);
    assert.equal(headers?.['authorization'], undefined);
    assert.equal(headers?.['content-length'], '5');
    assert.equal(headers['x-goog-pubsub-message-id'], '17');
    assert.equal(headers['kept'], 'yes');
  });

  it('sends values as UTF-8', () => {
    const value = headersOf({ attributes: { a: 'Größe' } })?.['a'] ?? '';
    assert.equal(Buffer.from(value, 'latin1').toString(), 'Größe');
  });

  const undeliverable: readonly (readonly [string, Partial<Message>])[] = [
    ['a blank in a key', { attributes: { 'a b': 'c' } }],
    ['a key out of ASCII', { attributes: { größe: 'c' } }],
    ['a line break in a value', { attributes: { a: 'b\nc' } }],
    ['a line break in the ordering key', { orderingKey: 'a\r\nb' }],
  ];
  for (const [what, message] of undeliverable) {
    it(`cannot carry ${what}`, () => {
      assert.equal(headersOf(message), undefined);
    });
  }

  it('does not mind what no header has to carry', () => {
    assert.ok(headersOf({ attributes: { 'a b': 'c' } }, 'unwrapped'));
    assert.ok(headersOf({ attributes: { 'a b': 'c' } }, 'wrapped'));
  });
});

describe('push identity', () => {
  it('is a token of the account for the audience, without a signature', () => {
    const oidc = { email: 'push@p.iam.gserviceaccount.com', audience: 'https://service' };
    const [scheme, token = ''] = (request({}, { oidc })?.headers['authorization'] ?? '').split(' ');
    const [header = '', claims = '', signature] = token.split('.');
    assert.equal(scheme, 'Bearer');
    assert.equal(signature, 'SIGNATURE_REMOVED_BY_GOOGLE');
    const decoded = (part: string): Record<string, unknown> =>
      JSON.parse(Buffer.from(part, 'base64url').toString()) as Record<string, unknown>;
    assert.equal(decoded(header)['typ'], 'JWT');
    const { aud, email, email_verified: verified, exp, iat, iss } = decoded(claims);
    assert.deepEqual(
      { aud, email, verified, exp, iat, iss },
      {
        aud: 'https://service',
        email: oidc.email,
        verified: true,
        iat: nowMs / 1_000,
        exp: nowMs / 1_000 + 3_600,
        iss: 'https://accounts.google.com',
      },
    );
  });

  it('is absent where none is configured', () => {
    assert.equal(request({}, {})?.headers['authorization'], undefined);
  });
});

describe('acknowledging statuses', () => {
  it('are five', () => {
    assert.deepEqual([...ACKNOWLEDGING_STATUSES], [102, 200, 201, 202, 204]);
  });
});
