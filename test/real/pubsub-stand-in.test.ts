import assert from 'node:assert/strict';
import { after, before, describe, it, type TestContext } from 'node:test';

import { PubSub, v1 } from '@google-cloud/pubsub';

import { startPubsub } from '../stand-ins/pubsub/server.ts';
import { createLanes } from '../stand-ins/pubsub/lanes.ts';
import { startEndpoint, type PushRequest } from '../conformance/pubsub/endpoint.ts';
import { required, skipUnless } from './servers/found.ts';
import { findPubsubEmulator, startPubsubEmulator } from './servers/pubsub-emulator.ts';

// Nothing of Google Cloud is to be looked for.
process.env['METADATA_SERVER_DETECTION'] = 'none';

const project = 'projects/test-project';
const search = findPubsubEmulator();

/** A server under comparison, with clients. */
interface Subject {
  readonly host: string;
  readonly client: PubSub;
  readonly publisher: v1.PublisherClient;
  readonly subscriber: v1.SubscriberClient;
  readonly close: () => Promise<void>;
}

const servers = [
  {
    name: 'the stand-in',
    skip: false,
    start: async () => {
      const pubsub = await startPubsub({ shuffled: false, duplicateShare: 0 });
      return { host: pubsub.host, stop: () => pubsub.close() };
    },
  },
  {
    name: "Google's emulator",
    skip: skipUnless(search),
    start: () => startPubsubEmulator(required(search)),
  },
];

// One table for both: what the stand-in does is what Google's own server does.
for (const { name, skip, start } of servers) {
  // The emulator waits seconds between deliveries, whatever the retry policy: the waits overlap.
  describe(`Pub/Sub as ${name} does it`, { skip, concurrency: true }, () => {
    let subject: Subject;
    let names = 0;
    /** A name that nothing has yet. */
    const fresh = (kind: 'topics' | 'subscriptions' | 'snapshots'): string => {
      names += 1;
      return `${project}/${kind}/name-${names}`;
    };
    const topic = async (retentionSeconds?: number): Promise<string> => {
      const topicName = fresh('topics');
      await subject.publisher.createTopic({
        name: topicName,
        ...(retentionSeconds === undefined
          ? {}
          : { messageRetentionDuration: { seconds: retentionSeconds } }),
      });
      return topicName;
    };
    const subscription = async (topicName: string, options: object = {}): Promise<string> => {
      const subscriptionName = fresh('subscriptions');
      await subject.subscriber.createSubscription({
        name: subscriptionName,
        topic: topicName,
        ...options,
      });
      return subscriptionName;
    };
    const publish = async (
      topicName: string,
      text: string,
      fields: { readonly attributes?: Record<string, string>; readonly orderingKey?: string } = {},
    ): Promise<string> => {
      const [{ messageIds }] = await subject.publisher.publish({
        topic: topicName,
        messages: [{ data: Buffer.from(text), ...fields }],
      });
      return messageIds?.[0] ?? '';
    };
    /** Pulls until so many messages have come; answers with text, ack id and attempt of each. */
    const pull = async (subscriptionName: string, count: number): Promise<readonly Pulled[]> => {
      const pulled: Pulled[] = [];
      while (pulled.length < count) {
        const [{ receivedMessages }] = await subject.subscriber.pull({
          subscription: subscriptionName,
          maxMessages: count - pulled.length,
        });
        for (const { ackId, message, deliveryAttempt } of receivedMessages ?? []) {
          pulled.push({
            text: Buffer.from((message?.data ?? '') as Uint8Array).toString(),
            ackId: ackId ?? '',
            attempt: deliveryAttempt ?? 0,
            attributes: message?.attributes ?? {},
          });
        }
      }
      return pulled;
    };

    before(async () => {
      subject = await connect(await start());
    });
    after(() => subject.close());

    it('answers with these statuses', async () => {
      const { publisher, subscriber } = subject;
      const topicName = await topic();
      const subscriptionName = await subscription(topicName);
      const snapshot = fresh('snapshots');
      await subscriber.createSnapshot({ name: snapshot, subscription: subscriptionName });
      const elsewhere = await subscription(await topic());
      const message = { data: Buffer.from('x') };
      const create = (fields: object) => async (): Promise<unknown> =>
        subscriber.createSubscription({
          name: fresh('subscriptions'),
          topic: topicName,
          ...fields,
        });
      const update =
        (path: string, fields: object = {}) =>
        async (): Promise<unknown> =>
          subscriber.updateSubscription({
            subscription: { name: subscriptionName, ...fields },
            updateMask: { paths: [path] },
          });
      const backoff = (minimum: number, maximum: number): object => ({
        retryPolicy: {
          minimumBackoff: { seconds: minimum },
          maximumBackoff: { seconds: maximum },
        },
      });
      const attempts = (maxDeliveryAttempts: number): object => ({
        deadLetterPolicy: { deadLetterTopic: topicName, maxDeliveryAttempts },
      });
      const none = `${project}/topics/none`;
      const cases: readonly (readonly [number, string, () => Promise<unknown>])[] = [
        [3, 'short name', () => publisher.createTopic({ name: `${project}/topics/ab` })],
        [3, 'digit first', () => publisher.createTopic({ name: `${project}/topics/1abc` })],
        [3, 'goog', () => publisher.createTopic({ name: `${project}/topics/google` })],
        [3, 'no name', () => publisher.createTopic({ name: 'nonsense' })],
        [6, 'topic twice', () => publisher.createTopic({ name: topicName })],
        [3, 'topic retention 9 min', () => topic(540)],
        [3, 'topic retention 32 d', () => topic(32 * 86_400)],
        [5, 'unknown topic', () => publisher.getTopic({ topic: none })],
        [5, 'delete unknown', () => publisher.deleteTopic({ topic: none })],
        [5, 'publish to unknown', () => publisher.publish({ topic: none, messages: [message] })],
        [3, 'empty message', () => publisher.publish({ topic: topicName, messages: [{}] })],
        [3, 'no messages', () => publisher.publish({ topic: topicName, messages: [] })],
        [
          3,
          '1,001 messages',
          () =>
            publisher.publish({ topic: topicName, messages: Array<object>(1_001).fill(message) }),
        ],
        [5, 'unknown topic of a subscription', create({ topic: none })],
        [6, 'subscription twice', create({ name: subscriptionName })],
        [3, 'ack deadline 601 s', create({ ackDeadlineSeconds: 601 })],
        [3, 'back-off 601 s', create(backoff(1, 601))],
        [3, 'back-off shrinks', create(backoff(20, 10))],
        [11, '4 attempts', create(attempts(4))],
        [11, '101 attempts', create(attempts(101))],
        [5, 'dead-letter topic unknown', create({ deadLetterPolicy: { deadLetterTopic: none } })],
        [3, 'retention 9 min', create({ messageRetentionDuration: { seconds: 540 } })],
        [3, 'endpoint no URL', create({ pushConfig: { pushEndpoint: 'nonsense' } })],
        [3, 'other topic', update('topic', { topic: none })],
        [3, 'other filter', update('filter', { filter: 'attributes:x' })],
        [3, 'other ordering', update('enable_message_ordering', { enableMessageOrdering: true })],
        [3, 'unknown field', update('nonsense')],
        [
          3,
          'empty mask',
          () =>
            subscriber.updateSubscription({
              subscription: { name: subscriptionName },
              updateMask: { paths: [] },
            }),
        ],
        [3, 'pull 0', () => subscriber.pull({ subscription: subscriptionName, maxMessages: 0 })],
        [
          3,
          'ack id malformed',
          () => subscriber.acknowledge({ subscription: subscriptionName, ackIds: ['nonsense'] }),
        ],
        [
          3,
          'no ack ids',
          () => subscriber.acknowledge({ subscription: subscriptionName, ackIds: [] }),
        ],
        [3, 'seek to nothing', () => subscriber.seek({ subscription: subscriptionName })],
        [
          5,
          'unknown snapshot',
          () =>
            subscriber.seek({
              subscription: subscriptionName,
              snapshot: `${project}/snapshots/none`,
            }),
        ],
        [
          6,
          'snapshot twice',
          () => subscriber.createSnapshot({ name: snapshot, subscription: subscriptionName }),
        ],
        [
          9,
          'snapshot of another topic',
          () => subscriber.seek({ subscription: elsewhere, snapshot }),
        ],
      ];
      for (const [code, what, request] of cases) await assert.rejects(request(), { code }, what);
    });

    it('pushes unwrapped, with attributes and metadata as headers', async (t) => {
      const endpoint = await startEndpoint(t);
      const topicName = await topic();
      const subscriptionName = await subscription(topicName, {
        pushConfig: { pushEndpoint: endpoint.url, noWrapper: { writeMetadata: true } },
      });
      const messageId = await publish(topicName, '{"a":1}', {
        attributes: { 'Content-Type': 'application/json', 'ce-id': 'id', host: 'x', utf8: 'Größe' },
      });
      const { method, headers, body } = await endpoint.next();
      assert.equal(method, 'POST');
      assert.equal(body.toString(), '{"a":1}');
      assert.deepEqual(
        [headers['content-type'], headers['ce-id'], headers['x-goog-pubsub-message-id']],
        ['application/json', 'id', messageId],
      );
      assert.equal(headers['x-goog-pubsub-subscription-name'], subscriptionName);
      assert.match(String(headers['x-goog-pubsub-publish-time']), /^\d{4}-.*T.*\.\d{3}Z$/);
      assert.equal(headers.host, new URL(endpoint.url).host);
      assert.equal(Buffer.from(String(headers['utf8']), 'latin1').toString(), 'Größe');
    });

    it('pushes wrapped, with names in both cases', async (t) => {
      const endpoint = await startEndpoint(t);
      const topicName = await topic();
      const subscriptionName = await subscription(topicName, {
        pushConfig: { pushEndpoint: endpoint.url },
      });
      const messageId = await publish(topicName, 'hello', { attributes: { a: 'b' } });
      const { message, subscription: origin } = wrapped(await endpoint.next());
      const { publishTime, publish_time: publishTimeToo, ...rest } = message;
      assert.deepEqual(rest, {
        attributes: { a: 'b' },
        data: Buffer.from('hello').toString('base64'),
        messageId,
        message_id: messageId,
      });
      assert.equal(publishTime, publishTimeToo);
      assert.equal(origin, subscriptionName);
    });

    // 202 acknowledges and 203 does not, by Pub/Sub's documentation; the emulator has it the other way.
    it('takes 200, 201 and 204 as acknowledgements and the rest as nacks', async (t) => {
      const statuses = [404, 429, 503, 205, 201];
      const endpoint = await startEndpoint(t, ({ index }) => statuses[index] ?? 204);
      const topicName = await topic();
      await subscription(topicName, {
        pushConfig: { pushEndpoint: endpoint.url },
        retryPolicy: { minimumBackoff: { nanos: 1e8 }, maximumBackoff: { nanos: 1e8 } },
      });
      const messageId = await publish(topicName, 'x');
      for (const _status of statuses) {
        assert.equal(wrapped(await endpoint.next()).message['messageId'], messageId);
      }
      const next = await publish(topicName, 'next');
      assert.equal(wrapped(await endpoint.next()).message['messageId'], next);
    });

    it('dead-letters after so many attempts and tells where the message comes from', async (t) => {
      const endpoint = await startEndpoint(t, () => 500);
      const deadName = await topic();
      const letters = await subscription(deadName);
      const topicName = await topic();
      const subscriptionName = await subscription(topicName, {
        pushConfig: { pushEndpoint: endpoint.url },
        retryPolicy: { minimumBackoff: { nanos: 1e8 }, maximumBackoff: { nanos: 1e8 } },
        deadLetterPolicy: { deadLetterTopic: deadName, maxDeliveryAttempts: 5 },
      });
      await publish(topicName, 'poison', { attributes: { a: 'b' } });
      const [letter] = await pull(letters, 1);
      const { CloudPubSubDeadLetterSourceTopicPublishTime: time, ...attributes } =
        letter?.attributes ?? {};
      assert.equal(letter?.text, 'poison');
      assert.deepEqual(attributes, {
        a: 'b',
        CloudPubSubDeadLetterSourceDeliveryCount: '5',
        CloudPubSubDeadLetterSourceSubscription: subscriptionName.split('/').at(-1),
        CloudPubSubDeadLetterSourceSubscriptionProject: 'test-project',
      });
      assert.match(time ?? '', /^\d{4}-.*T.*\.\d{3}Z$/);
      assert.equal(endpoint.requests.length, 5);
    });

    it('counts the attempts of a pulled message', async () => {
      const topicName = await topic();
      const subscriptionName = await subscription(topicName, {
        deadLetterPolicy: { deadLetterTopic: await topic(), maxDeliveryAttempts: 5 },
      });
      await publish(topicName, 'x');
      for (const attempt of [1, 2, 3]) {
        const [pulled] = await pull(subscriptionName, 1);
        assert.equal(pulled?.attempt, attempt);
        await subject.subscriber.modifyAckDeadline({
          subscription: subscriptionName,
          ackIds: [pulled.ackId],
          ackDeadlineSeconds: 0,
        });
      }
    });

    it('holds an ordering key back behind its first message, and no other', async (t) => {
      const endpoint = await startEndpoint(t, (request) =>
        textOf(request) === 'a1' && request.index < 3 ? 500 : 204,
      );
      const topicName = await topic();
      await subscription(topicName, {
        enableMessageOrdering: true,
        pushConfig: { pushEndpoint: endpoint.url },
        retryPolicy: { minimumBackoff: { nanos: 3e8 }, maximumBackoff: { nanos: 3e8 } },
      });
      for (const text of ['a1', 'a2', 'b1']) {
        await publish(topicName, text, { orderingKey: text.slice(0, 1) });
      }
      const texts: string[] = [];
      while (!texts.includes('a2')) texts.push(textOf(await endpoint.next()));
      assert.ok(texts.indexOf('b1') < texts.lastIndexOf('a1'), texts.join());
      assert.ok(texts.filter((text) => text === 'a1').length >= 3, texts.join());
    });

    it('seeks to a time: older messages are acknowledged, newer ones come again', async () => {
      const topicName = await topic(3_600);
      const subscriptionName = await subscription(topicName);
      await publish(topicName, 'old');
      await new Promise((resolve) => setTimeout(resolve, 50));
      const time = Date.now();
      await publish(topicName, 'new');
      for (const { ackId } of await pull(subscriptionName, 2)) {
        await subject.subscriber.acknowledge({ subscription: subscriptionName, ackIds: [ackId] });
      }
      await subject.subscriber.seek({
        subscription: subscriptionName,
        time: { seconds: Math.floor(time / 1_000), nanos: (time % 1_000) * 1e6 },
      });
      assert.deepEqual(textsOf(await pull(subscriptionName, 1)), ['new']);
    });

    it('seeks to a snapshot', async () => {
      const topicName = await topic();
      const subscriptionName = await subscription(topicName);
      await publish(topicName, 'before');
      const [first] = await pull(subscriptionName, 1);
      await subject.subscriber.acknowledge({
        subscription: subscriptionName,
        ackIds: [first?.ackId ?? ''],
      });
      await publish(topicName, 'in');
      const snapshot = fresh('snapshots');
      await subject.subscriber.createSnapshot({ name: snapshot, subscription: subscriptionName });
      await publish(topicName, 'after');
      const ackIds = (await pull(subscriptionName, 2)).map(({ ackId }) => ackId);
      await subject.subscriber.acknowledge({ subscription: subscriptionName, ackIds });
      await subject.subscriber.seek({ subscription: subscriptionName, snapshot });
      assert.deepEqual([...textsOf(await pull(subscriptionName, 2))].sort(), ['after', 'in']);
    });

    it('leaves a subscription what it has when its topic is deleted', async () => {
      const topicName = await topic();
      const subscriptionName = await subscription(topicName);
      await publish(topicName, 'left');
      await subject.publisher.deleteTopic({ topic: topicName });
      const [{ topic: left }] = await subject.subscriber.getSubscription({
        subscription: subscriptionName,
      });
      assert.equal(left, '_deleted-topic_');
      assert.deepEqual(textsOf(await pull(subscriptionName, 1)), ['left']);
    });

    it('takes the two lanes', async (t) => {
      await pushThroughLanes(t, subject);
    });
  });
}

interface Pulled {
  readonly text: string;
  readonly ackId: string;
  readonly attempt: number;
  readonly attributes: Readonly<Record<string, string>>;
}

async function connect(server: {
  readonly host: string;
  readonly stop: () => Promise<void>;
}): Promise<Subject> {
  const client = new PubSub({
    projectId: 'test-project',
    apiEndpoint: server.host,
    emulatorMode: true,
  });
  // The library makes its own clients with it; its types of the two sides do not meet.
  const config = (await client.getClientConfig()) as ConstructorParameters<
    typeof v1.PublisherClient
  >[0];
  const publisher = new v1.PublisherClient(config);
  const subscriber = new v1.SubscriberClient(config);
  return {
    host: server.host,
    client,
    publisher,
    subscriber,
    close: async () => {
      await publisher.close();
      await subscriber.close();
      await client.close();
      await server.stop();
    },
  };
}

async function pushThroughLanes(t: TestContext, { host, client }: Subject): Promise<void> {
  const events = await startEndpoint(t);
  const bulk = await startEndpoint(t);
  await createLanes({
    host,
    projectId: 'test-project',
    eventsEndpoint: events.url,
    bulkEndpoint: bulk.url,
  });
  for (const [lane, endpoint] of [
    ['events', events],
    ['bulk', bulk],
  ] as const) {
    await client.topic(lane).publishMessage({
      data: Buffer.from(lane),
      attributes: { 'ce-id': lane, 'Content-Type': 'application/json' },
    });
    const { body, headers } = await endpoint.next();
    assert.equal(body.toString(), lane);
    assert.equal(headers['ce-id'], lane);
    assert.equal(headers['content-type'], 'application/json');
  }
}

function wrapped(request: PushRequest): {
  readonly message: Readonly<Record<string, unknown>>;
  readonly subscription: string;
} {
  return JSON.parse(request.body.toString()) as ReturnType<typeof wrapped>;
}

function textOf(request: PushRequest): string {
  return Buffer.from(String(wrapped(request).message['data']), 'base64').toString();
}

function textsOf(pulled: readonly Pulled[]): readonly string[] {
  return pulled.map(({ text }) => text);
}
