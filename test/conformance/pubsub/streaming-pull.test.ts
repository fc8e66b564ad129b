import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';

import type { Message, SubscriberOptions } from '@google-cloud/pubsub';

import { ManualClock } from '../../stand-ins/pubsub/clock.ts';
import { startSetting, subscriptionName, topicName, type Setting } from './setting.ts';

describe('streaming pull', () => {
  it('brings messages to the client and takes its acknowledgements', async (t) => {
    const setting = await startSetting(t);
    await make(setting);
    const inbox = open(setting);
    await setting.publish('topic', 'hello', { a: 'b' });
    const message = await inbox.next();
    assert.equal(message.data.toString(), 'hello');
    assert.deepEqual(message.attributes, { a: 'b' });
    message.ack();
    await setting.until('pulled', ({ acknowledged }) => acknowledged === 1);
  });

  it('brings a message again that is given back', async (t) => {
    const setting = await startSetting(t);
    await make(setting);
    const inbox = open(setting);
    await setting.publish('topic', 'again');
    const first = await inbox.next();
    first.nack();
    const second = await inbox.next();
    assert.equal(second.id, first.id);
    assert.notEqual(second.ackId, first.ackId);
    second.ack();
    await setting.until('pulled', ({ acknowledged, nacked }) => acknowledged === 1 && nacked === 1);
  });

  it('tells the attempt under a dead-letter policy, and gives a message up', async (t) => {
    const setting = await startSetting(t);
    await setting.topic('dead');
    await setting.subscription('dead', 'dead');
    await make(setting, {
      deadLetterPolicy: { deadLetterTopic: topicName('dead'), maxDeliveryAttempts: 5 },
    });
    const inbox = open(setting);
    await setting.publish('topic', 'poison');
    for (const attempt of [1, 2, 3, 4, 5]) {
      const message = await inbox.next();
      assert.equal(message.deliveryAttempt, attempt);
      message.nack();
    }
    await setting.until('dead', ({ undelivered }) => undelivered === 1);
    const [letter] = setting.pubsub.view.messages(topicName('dead'));
    assert.equal(letter?.data.toString(), 'poison');
  });

  it('holds back what the flow control of the client does not allow', async (t) => {
    const setting = await startSetting(t);
    await make(setting);
    for (const text of ['1', '2', '3']) await setting.publish('topic', text);
    const inbox = open(setting, {
      flowControl: { maxMessages: 2 },
      streamingOptions: { maxStreams: 1 },
    });
    const first = await inbox.next();
    const second = await inbox.next();
    assert.equal(setting.look('pulled').outstanding, 2);
    assert.equal(setting.look('pulled').undelivered, 1);
    first.ack();
    const third = await inbox.next();
    assert.equal(third.data.toString(), '3');
    for (const message of [second, third]) message.ack();
  });

  it('keeps the order of a key', async (t) => {
    const setting = await startSetting(t, { shuffled: true });
    await make(setting, { enableMessageOrdering: true });
    const inbox = open(setting);
    const topic = setting.client.topic('topic', { messageOrdering: true });
    const texts = Array.from({ length: 5 }, (_unused, index) => String(index));
    await Promise.all(
      texts.map((text) => topic.publishMessage({ data: Buffer.from(text), orderingKey: 'key' })),
    );
    const received: string[] = [];
    for (const _text of texts) {
      const message = await inbox.next();
      assert.equal(message.orderingKey, 'key');
      received.push(message.data.toString());
      message.ack();
    }
    assert.deepEqual(received, texts);
  });

  it('is opened again by the client after the server has ended it', async (t) => {
    const setting = await startSetting(t);
    await make(setting);
    const inbox = open(setting);
    await setting.publish('topic', 'before');
    (await inbox.next()).ack();
    const streams = setting.pubsub.requests('StreamingPull');
    setting.pubsub.endStreams();
    await setting.publish('topic', 'after');
    const message = await inbox.next();
    assert.equal(message.data.toString(), 'after');
    message.ack();
    assert.ok(setting.pubsub.requests('StreamingPull') > streams);
  });

  it('is open before there is a message', async (t) => {
    const setting = await startSetting(t);
    await make(setting);
    const stream = (await setting.subscriber()).streamingPull();
    stream.on('error', () => undefined);
    stream.write({ subscription: subscriptionName('pulled'), streamAckDeadlineSeconds: 10 });
    await once(stream, 'metadata');
    stream.cancel();
  });

  it('leaves messages with a client that has gone until their deadline', async (t) => {
    const clock = new ManualClock();
    const setting = await startSetting(t, { clock });
    await make(setting);
    const subscriber = await setting.subscriber();
    await setting.publish('topic', 'left');
    const stream = subscriber.streamingPull();
    stream.on('error', () => undefined);
    stream.write({ subscription: subscriptionName('pulled'), streamAckDeadlineSeconds: 60 });
    await once(stream, 'data');
    stream.cancel();
    await setting.until('pulled', ({ outstanding }) => outstanding === 1);
    clock.advance(59_999);
    assert.equal(setting.look('pulled').outstanding, 1);
    clock.advance(1);
    assert.equal(setting.look('pulled').expired, 1);
  });

  it('takes acknowledgements and deadlines on the stream', async (t) => {
    const clock = new ManualClock();
    const setting = await startSetting(t, { clock });
    await make(setting);
    const subscriber = await setting.subscriber();
    for (const text of ['1', '2', '3']) await setting.publish('topic', text);
    const stream = subscriber.streamingPull();
    stream.on('error', () => undefined);
    stream.write({ subscription: subscriptionName('pulled'), streamAckDeadlineSeconds: 10 });
    const ackIds: string[] = [];
    while (ackIds.length < 3) {
      const [response] = (await once(stream, 'data')) as [
        { receivedMessages: { ackId: string }[] },
      ];
      ackIds.push(...response.receivedMessages.map(({ ackId }) => ackId));
    }
    stream.write({
      ackIds: ackIds.slice(0, 1),
      modifyDeadlineAckIds: ackIds.slice(1),
      modifyDeadlineSeconds: [600, 0],
      streamAckDeadlineSeconds: 30,
    });
    await setting.until('pulled', ({ acknowledged, nacked }) => acknowledged === 1 && nacked === 1);
    // The second has ten minutes; the third, delivered again, has the new deadline of the stream.
    clock.advance(29_999);
    assert.equal(setting.look('pulled').expired, 0);
    clock.advance(1);
    assert.equal(setting.look('pulled').expired, 1);
    stream.cancel();
  });

  const refused: readonly (readonly [string, readonly object[], number])[] = [
    ['of an unknown subscription', [{ subscription: subscriptionName('none') }], 5],
    ['of a push subscription', [{ subscription: subscriptionName('pushed') }], 9],
    ['without a subscription', [{ subscription: '' }], 3],
    ['without a deadline', [{ streamAckDeadlineSeconds: 0 }], 3],
    ['with a deadline of 9 s', [{ streamAckDeadlineSeconds: 9 }], 3],
    ['with a deadline of 601 s', [{ streamAckDeadlineSeconds: 601 }], 3],
    [
      'with a subscription in a later request',
      [{}, { subscription: subscriptionName('pulled') }],
      3,
    ],
    ['with flow control in a later request', [{}, { maxOutstandingMessages: 5 }], 3],
    [
      'with lists of two lengths',
      [{}, { modifyDeadlineAckIds: ['1-1'], modifyDeadlineSeconds: [] }],
      3,
    ],
    ['with a malformed ack id', [{}, { ackIds: ['nonsense'] }], 3],
    [
      'with a negative deadline',
      [{}, { modifyDeadlineAckIds: ['1-1'], modifyDeadlineSeconds: [-1] }],
      3,
    ],
  ];
  for (const [what, [first, ...later], code] of refused) {
    it(`is ended ${what}`, async (t) => {
      const setting = await startSetting(t);
      await make(setting);
      await setting.subscription('topic', 'pushed', {
        pushConfig: { pushEndpoint: 'http://127.0.0.1:1/' },
      });
      const subscriber = await setting.subscriber();
      const stream = subscriber.streamingPull();
      stream.write({
        subscription: subscriptionName('pulled'),
        streamAckDeadlineSeconds: 10,
        ...first,
      });
      for (const request of later) stream.write(request);
      const [error] = (await once(stream, 'error')) as [{ readonly code: number }];
      assert.equal(error.code, code);
    });
  }

  it('is ended when its subscription is deleted', async (t) => {
    const setting = await startSetting(t);
    await make(setting);
    const subscriber = await setting.subscriber();
    const stream = subscriber.streamingPull();
    stream.write({ subscription: subscriptionName('pulled'), streamAckDeadlineSeconds: 10 });
    const ended = once(stream, 'error') as Promise<[{ readonly code: number }]>;
    await setting.arrived('StreamingPull', 1);
    await setting.client.subscription('pulled').delete();
    assert.equal((await ended)[0].code, 5);
  });
});

async function make(
  setting: Setting,
  options: Parameters<Setting['subscription']>[2] = {},
): Promise<void> {
  await setting.topic('topic');
  await setting.subscription('topic', 'pulled', options);
}

/** What a streaming subscriber of the client library gets. */
interface Inbox {
  readonly next: () => Promise<Message>;
}

function open({ client, closeFirst }: Setting, options: SubscriberOptions = {}): Inbox {
  const subscription = client.subscription('pulled', options);
  const arrived: Message[] = [];
  const waiting: ((message: Message) => void)[] = [];
  subscription.on('message', (message: Message) => {
    const take = waiting.shift();
    if (take === undefined) arrived.push(message);
    else take(message);
  });
  closeFirst(() => subscription.close());
  return {
    next: () => {
      const message = arrived.shift();
      return message === undefined
        ? new Promise((resolve) => waiting.push(resolve))
        : Promise.resolve(message);
    },
  };
}
