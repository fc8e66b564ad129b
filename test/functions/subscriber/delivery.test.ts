import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { encodeEvent } from '../../../functions/contract/codec.ts';
import { isMirrorError } from '../../../functions/errors.ts';
import { decodeDelivery, readDelivery } from '../../../functions/subscriber/delivery.ts';
import { sampleEvent } from './samples.ts';
import { thrown } from '../../faults.ts';

const event = sampleEvent({ exclusionList: [String.raw`^.*\.sig$`] });
const encoded = encodeEvent(event);
const binary = { specversion: '1.0', ...event };
const pushed = {
  message: {
    attributes: encoded.attributes,
    data: encoded.data.toString('base64'),
    messageId: '136969346945',
    publishTime: '2026-08-10T09:00:04Z',
  },
  subscription: 'projects/p/subscriptions/s',
  deliveryAttempt: 3,
};
const MESSAGE_PUBLISHED = 'google.cloud.pubsub.topic.v1.messagePublished';
const strict = { acceptFluxEvents: false };

function code(incoming: unknown): string {
  try {
    decodeDelivery(readDelivery(incoming), strict);
  } catch (error) {
    if (isMirrorError(error)) return `${error.code} ${error.field ?? ''}`;
    throw error;
  }
  return 'decoded';
}

describe('delivery', () => {
  const forms: readonly [name: string, incoming: unknown][] = [
    ['a binary CloudEvent', binary],
    ['a binary CloudEvent with raw data', { ...binary, data: encoded.data }],
    ['a wrapped push that the framework left bare', pushed],
    [
      'a wrapped push that the framework converted',
      {
        specversion: '1.0',
        id: '136969346945',
        type: MESSAGE_PUBLISHED,
        source: '//pubsub.googleapis.com/',
        data: { message: { '@type': 'x', ...pushed.message } },
      },
    ],
    ['a structured CloudEvent as the bytes of a body', Buffer.from(JSON.stringify(binary))],
    ['a wrapped push as the text of a body', JSON.stringify(pushed)],
    [
      'a messagePublished whose data is a text',
      { type: MESSAGE_PUBLISHED, data: JSON.stringify(pushed) },
    ],
    [
      "Eventarc's messagePublished",
      {
        specversion: '1.0',
        id: '1',
        type: MESSAGE_PUBLISHED,
        source: '//pubsub.googleapis.com/projects/p/topics/t',
        data: pushed,
      },
    ],
    [
      "Eventarc's messagePublished with raw data",
      {
        specversion: '1.0',
        id: '1',
        type: MESSAGE_PUBLISHED,
        source: '//pubsub.googleapis.com/projects/p/topics/t',
        data: Buffer.from(JSON.stringify(pushed)),
      },
    ],
    [
      'a structured CloudEvent within a message',
      {
        message: {
          attributes: { 'content-type': 'application/cloudevents+json; charset=utf-8' },
          data: Buffer.from(JSON.stringify(binary)).toString('base64'),
          messageId: '1',
        },
      },
    ],
  ];
  for (const [name, incoming] of forms) {
    it(`finds the event in ${name}`, () => {
      assert.deepEqual(decodeDelivery(readDelivery(incoming), strict), event);
    });
  }

  it('guard event-size: refuses more than 1 MiB in whatever form it comes', () => {
    const data = { ...event.data, later: 'x'.repeat(1024 * 1024) };
    const body = JSON.stringify({ ...binary, data });
    const structured = {
      attributes: { 'content-type': 'application/cloudevents+json' },
      data: Buffer.from(body).toString('base64'),
    };
    for (const incoming of [{ ...binary, data }, Buffer.from(body), { message: structured }])
      assert.equal(code(incoming), 'EVENT_TOO_LARGE data');
    const flux = readDelivery(Buffer.from(JSON.stringify({ later: data.later })));
    thrown(() => decodeDelivery(flux, { acceptFluxEvents: true }), 'EVENT_TOO_LARGE');
  });

  it('rebuilds the message of an unwrapped push byte for byte', () => {
    const delivery = readDelivery(binary);
    assert.deepEqual(delivery.attributes, encoded.attributes);
    assert.deepEqual(delivery.data, encoded.data);
  });

  it('keeps extensions, and takes nothing of the request for an attribute', () => {
    const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
    const extended = {
      ...{ ...binary, partitionkey: 'p', datacontenttype: 'x/y', traceparent },
      ...{ nothing: '', figure: 7 },
    };
    assert.deepEqual(readDelivery(extended).attributes, {
      ...encoded.attributes,
      'ce-partitionkey': 'p',
    });
    assert.equal(readDelivery({ specversion: '1.0', id: 'i' }).attributes['ce-id'], 'i');
    assert.equal(readDelivery({ type: 't' }).attributes['ce-type'], 't');
  });

  it('keeps the message of a wrapped push and what its envelope tells', () => {
    const delivery = readDelivery(pushed);
    assert.deepEqual(delivery.attributes, encoded.attributes);
    assert.deepEqual(delivery.data, encoded.data);
    assert.equal(delivery.messageId, '136969346945');
    assert.equal(delivery.subscription, 'projects/p/subscriptions/s');
    assert.equal(delivery.deliveryAttempt, 3);
    const odd = {
      message: { attributes: { a: 'b', n: 7 }, message_id: '8' },
      deliveryAttempt: '3',
    };
    const { attributes, messageId, deliveryAttempt } = readDelivery(odd);
    assert.deepEqual([attributes, messageId, deliveryAttempt], [{ a: 'b' }, '8', undefined]);
  });

  it('takes the trace along', () => {
    const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
    assert.equal(readDelivery({ ...binary, traceparent }).traceparent, traceparent);
  });

  const refused: readonly [name: string, incoming: unknown, expected: string][] = [
    ['nothing', undefined, 'EVENT_UNDECODABLE data'],
    ['null', null, 'EVENT_UNDECODABLE data'],
    ['an empty text', '', 'EVENT_UNDECODABLE data'],
    ['an empty array', [], 'EVENT_INVALID type'],
    ['bytes', Buffer.from([0, 1, 2]), 'EVENT_INVALID type'],
    ['a text', 'hello', 'EVENT_INVALID type'],
    ['a body without envelope', event.data, 'EVENT_INVALID type'],
    [
      'an attribute-only message',
      { message: { attributes: { a: 'b' } } },
      'EVENT_UNDECODABLE data',
    ],
    [
      'an attribute-only message of our type',
      { message: { attributes: encoded.attributes, data: '' } },
      'EVENT_UNDECODABLE data',
    ],
    ['another type', { ...binary, type: 'com.example.x' }, 'EVENT_INVALID type'],
    [
      'a wrong field',
      { ...binary, data: { ...event.data, tagCount: 'x' } },
      'EVENT_INVALID data.tagCount',
    ],
    [
      'a messagePublished that is no JSON',
      { ...binary, type: MESSAGE_PUBLISHED, data: Buffer.from('{') },
      'EVENT_INVALID type',
    ],
    ['data that is no JSON', { ...binary, data: '{' }, 'EVENT_UNDECODABLE data'],
  ];
  for (const [name, incoming, expected] of refused) {
    it(`refuses ${name} as ${expected}`, () => {
      assert.equal(code(incoming), expected);
    });
  }
});
