import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { CreateSubscriptionOptions } from '@google-cloud/pubsub';

import { ManualClock } from '../../stand-ins/pubsub/clock.ts';
import { startEndpoint } from './endpoint.ts';
import { startSetting, subscriptionName, topicName, type Setting } from './setting.ts';

const patient = {
  retryPolicy: { minimumBackoff: { seconds: 10 }, maximumBackoff: { seconds: 600 } },
};

describe('push', () => {
  it('arrives unwrapped as a CloudEvent in binary mode', async (t) => {
    const endpoint = await startEndpoint(t);
    const setting = await startSetting(t);
    await push(setting, endpoint.url);
    const messageId = await setting.publish('topic', '{"a":1}', {
      'ce-specversion': '1.0',
      'ce-id': 'id',
      'ce-type': 'type',
      'ce-source': '//source',
      'Content-Type': 'application/json',
    });
    const { method, path, headers, body } = await endpoint.next();
    assert.deepEqual([method, path], ['POST', '/push']);
    assert.equal(body.toString(), '{"a":1}');
    assert.equal(headers['content-type'], 'application/json');
    assert.equal(headers['ce-id'], 'id');
    assert.equal(headers['x-goog-pubsub-message-id'], messageId);
    assert.equal(headers['x-goog-pubsub-subscription-name'], subscriptionName('pushed'));
    await setting.until('pushed', ({ acknowledged }) => acknowledged === 1);
  });

  it('arrives wrapped, with its identity and its attempt', async (t) => {
    const endpoint = await startEndpoint(t, ({ index }) => (index === 0 ? 500 : 200));
    const setting = await startSetting(t, { backoffFactor: 0 });
    await setting.topic('dead');
    await push(setting, endpoint.url, {
      pushConfig: {
        pushEndpoint: endpoint.url,
        oidcToken: { serviceAccountEmail: 'push@test-project.iam.gserviceaccount.com' },
      },
      deadLetterPolicy: { deadLetterTopic: topicName('dead'), maxDeliveryAttempts: 5 },
    });
    const messageId = await setting.publish('topic', 'hello', { a: 'b' });
    for (const attempt of [1, 2]) {
      const { headers, body } = await endpoint.next();
      const [, claims = ''] = (headers.authorization ?? '').replace('Bearer ', '').split('.');
      const token = JSON.parse(Buffer.from(claims, 'base64url').toString()) as object;
      assert.deepEqual(
        { aud: (token as { aud: unknown }).aud, email: (token as { email: unknown }).email },
        { aud: endpoint.url, email: 'push@test-project.iam.gserviceaccount.com' },
      );
      const { message, subscription, deliveryAttempt } = JSON.parse(body.toString()) as {
        readonly message: Readonly<Record<string, unknown>>;
        readonly subscription: string;
        readonly deliveryAttempt: number;
      };
      assert.equal(message['messageId'], messageId);
      assert.equal(message['data'], Buffer.from('hello').toString('base64'));
      assert.deepEqual(message['attributes'], { a: 'b' });
      assert.equal(subscription, subscriptionName('pushed'));
      assert.equal(deliveryAttempt, attempt);
    }
  });

  it('carries a message of 10 MB', async (t) => {
    const endpoint = await startEndpoint(t);
    const setting = await startSetting(t);
    await push(setting, endpoint.url);
    const publisher = await setting.publisher();
    const data = Buffer.alloc(10_000_000, 7);
    await publisher.publish({ topic: topicName('topic'), messages: [{ data }] });
    const { body } = await endpoint.next();
    assert.ok(body.equals(data));
  });
});

describe('answer to a push', () => {
  for (const status of [200, 201, 202, 204]) {
    it(`acknowledges with ${status}`, async (t) => {
      const endpoint = await startEndpoint(t, () => status);
      const setting = await startSetting(t);
      await push(setting, endpoint.url);
      await setting.publish('topic', 'x');
      await setting.until('pushed', ({ acknowledged }) => acknowledged === 1);
      assert.equal(endpoint.requests.length, 1);
    });
  }

  it('acknowledges with 102, before its final status', async (t) => {
    const endpoint = await startEndpoint(t, (_request, response) => {
      response.writeProcessing();
      return undefined;
    });
    const setting = await startSetting(t);
    await push(setting, endpoint.url);
    await setting.publish('topic', 'x');
    await setting.until('pushed', ({ acknowledged }) => acknowledged === 1);
  });

  for (const status of [203, 205, 206, 301, 302, 304, 400, 401, 404, 429, 500, 503]) {
    it(`is a nack with ${status}`, async (t) => {
      const endpoint = await startEndpoint(t, (_request, response) => {
        response.writeHead(status, { location: '/elsewhere' }).end();
        return undefined;
      });
      const setting = await startSetting(t, { clock: new ManualClock() });
      await push(setting, endpoint.url, patient);
      await setting.publish('topic', 'x');
      await setting.until('pushed', ({ nacked }) => nacked === 1);
      assert.equal(setting.look('pushed').undelivered, 1);
      // A redirect is not followed either.
      assert.equal(endpoint.requests.length, 1);
    });
  }

  it('is a nack where there is none: the connection is reset', async (t) => {
    const endpoint = await startEndpoint(t, (_request, response) => {
      response.socket?.destroy();
      return undefined;
    });
    const setting = await startSetting(t, { clock: new ManualClock() });
    await push(setting, endpoint.url, patient);
    await setting.publish('topic', 'x');
    await setting.until('pushed', ({ nacked }) => nacked === 1);
  });

  it('is a nack where nobody listens', async (t) => {
    const setting = await startSetting(t, { clock: new ManualClock() });
    await push(setting, 'http://127.0.0.1:1/', patient);
    await setting.publish('topic', 'x');
    await setting.until('pushed', ({ nacked }) => nacked === 1);
  });

  it('is late after the ack deadline: the connection is closed', async (t) => {
    const clock = new ManualClock();
    const endpoint = await startEndpoint(t, () => undefined);
    const setting = await startSetting(t, { clock });
    await push(setting, endpoint.url, { ...patient, ackDeadlineSeconds: 600 });
    await setting.publish('topic', 'x');
    const request = await endpoint.next();
    clock.advance(599_999);
    assert.equal(setting.look('pushed').outstanding, 1);
    clock.advance(1);
    await request.abandoned;
    assert.equal(setting.look('pushed').expired, 1);
    assert.equal(setting.look('pushed').nacked, 0);
    clock.advance(10_000);
    await endpoint.next();
  });
});

describe('redelivery of a push', () => {
  it('waits as the retry policy says', async (t) => {
    const clock = new ManualClock();
    const endpoint = await startEndpoint(t, () => 503);
    const setting = await startSetting(t, { clock });
    await push(setting, endpoint.url, patient);
    await setting.publish('topic', 'x');
    let nacks = 0;
    for (const waitMs of [10_000, 20_000, 40_000, 80_000, 160_000, 320_000, 600_000, 600_000]) {
      await endpoint.next();
      nacks += 1;
      await setting.until('pushed', ({ nacked }) => nacked === nacks);
      clock.advance(waitMs - 1);
      assert.equal(setting.look('pushed').delivered, nacks);
      clock.advance(1);
      assert.equal(setting.look('pushed').delivered, nacks + 1);
    }
  });

  it('pauses the whole subscription without a retry policy', async (t) => {
    const clock = new ManualClock();
    const endpoint = await startEndpoint(t, () => 500);
    const setting = await startSetting(t, { clock });
    await push(setting, endpoint.url, { retryPolicy: null });
    await setting.publish('topic', 'first');
    await setting.until('pushed', ({ nacked }) => nacked === 1);
    await setting.publish('topic', 'second');
    assert.equal(setting.look('pushed').delivered, 1);
    clock.advance(100);
    assert.equal(setting.look('pushed').delivered, 3);
  });

  it('ends in the dead-letter topic, whatever the failures were', async (t) => {
    const clock = new ManualClock();
    const answers = [429, 503, undefined, 500, 'reset'] as const;
    const endpoint = await startEndpoint(t, ({ index }, response) => {
      const answer = answers[index];
      if (answer === 'reset') response.socket?.destroy();
      return typeof answer === 'number' ? answer : undefined;
    });
    const setting = await startSetting(t, { clock });
    await setting.topic('dead');
    await push(setting, endpoint.url, {
      retryPolicy: { minimumBackoff: { seconds: 0 }, maximumBackoff: { seconds: 0 } },
      deadLetterPolicy: { deadLetterTopic: topicName('dead'), maxDeliveryAttempts: 5 },
    });
    await setting.publish('topic', 'poison', { a: 'b' });
    for (const answer of answers) {
      const { abandoned } = await endpoint.next();
      if (answer !== undefined) continue;
      clock.advance(10_000);
      await abandoned;
    }
    await setting.until('pushed', ({ deadLettered }) => deadLettered === 1);
    assert.equal(endpoint.requests.length, 5);
    assert.deepEqual(setting.look('pushed').undelivered, 0);
    const [letter] = setting.pubsub.view.messages(topicName('dead'));
    assert.equal(letter?.data.toString(), 'poison');
    assert.deepEqual(
      { ...letter.attributes, CloudPubSubDeadLetterSourceTopicPublishTime: '' },
      {
        a: 'b',
        CloudPubSubDeadLetterSourceDeliveryCount: '5',
        CloudPubSubDeadLetterSourceSubscription: 'pushed',
        CloudPubSubDeadLetterSourceSubscriptionProject: 'test-project',
        CloudPubSubDeadLetterSourceTopicPublishTime: '',
      },
    );
  });

  it('never succeeds where an attribute cannot be a header', async (t) => {
    const endpoint = await startEndpoint(t);
    const setting = await startSetting(t);
    await setting.topic('dead');
    await push(setting, endpoint.url, {
      retryPolicy: { minimumBackoff: { seconds: 0 }, maximumBackoff: { seconds: 0 } },
      deadLetterPolicy: { deadLetterTopic: topicName('dead'), maxDeliveryAttempts: 5 },
    });
    await setting.publish('topic', 'x', { 'not a header': 'x' });
    await setting.until('pushed', ({ deadLettered }) => deadLettered === 1);
    assert.equal(endpoint.requests.length, 0);
  });

  it('holds an ordering key back until its first message is acknowledged', async (t) => {
    const clock = new ManualClock();
    const endpoint = await startEndpoint(t, ({ index }) => (index === 0 ? 500 : 204));
    const setting = await startSetting(t, { clock });
    await push(setting, endpoint.url, { ...patient, enableMessageOrdering: true });
    const topic = setting.client.topic('topic', { messageOrdering: true });
    for (const text of ['1', '2']) {
      await topic.publishMessage({ data: Buffer.from(text), orderingKey: 'key' });
    }
    await topic.publishMessage({ data: Buffer.from('other'), orderingKey: 'other' });
    await setting.until('pushed', ({ acknowledged, nacked }) => acknowledged === 1 && nacked === 1);
    clock.advance(10_000);
    await setting.until('pushed', ({ acknowledged }) => acknowledged === 3);
    assert.deepEqual(
      endpoint.requests.map(({ body }) => body.toString()),
      ['1', 'other', '1', '2'],
    );
    assert.equal(endpoint.requests[0]?.headers['x-goog-pubsub-ordering-key'], 'key');
  });
});

describe('push window', () => {
  it('opens with successes', async (t) => {
    let open: (() => void) | undefined;
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    const endpoint = await startEndpoint(t, async () => {
      await gate;
      return 204;
    });
    const setting = await startSetting(t);
    await push(setting, endpoint.url);
    const publisher = await setting.publisher();
    await publisher.publish({
      topic: topicName('topic'),
      messages: Array.from({ length: 200 }, () => ({ data: Buffer.from('x') })),
    });
    for (let count = 0; count < 5; count += 1) await endpoint.next();
    assert.equal(setting.look('pushed').outstanding, 5);
    open?.();
    await setting.until('pushed', ({ acknowledged }) => acknowledged === 200);
  });
});

async function push(
  setting: Setting,
  url: string,
  options: CreateSubscriptionOptions = patient,
): Promise<void> {
  await setting.topic('topic');
  await setting.subscription('topic', 'pushed', {
    pushConfig: { pushEndpoint: url, noWrapper: { writeMetadata: true } },
    ...options,
  });
}
