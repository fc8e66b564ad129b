import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { after, before, describe, it, type TestContext } from 'node:test';

import { PubSub, v1 } from '@google-cloud/pubsub';

import { required, skipUnless } from '../../real/servers/found.ts';
import { findPubsubEmulator, startPubsubEmulator } from '../../real/servers/pubsub-emulator.ts';
import { createLanes } from '../../stand-ins/pubsub/lanes.ts';
import { startPubsub } from '../../stand-ins/pubsub/server.ts';
import { startEndpoint, type PushRequest } from './endpoint.ts';

// Nothing of Google Cloud is to be looked for.
process.env['METADATA_SERVER_DETECTION'] = 'none';

const project = 'projects/test-project';
const search = findPubsubEmulator();
/** Where nobody listens: the discard port. */
const nowhere = 'http://127.0.0.1:9/';

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
    emulated: false,
    skip: false,
    start: async () => {
      const pubsub = await startPubsub({ shuffled: false, duplicateShare: 0 });
      return { host: pubsub.host, stop: () => pubsub.close() };
    },
  },
  {
    name: "Google's emulator",
    emulated: true,
    skip: skipUnless(search),
    start: () => startPubsubEmulator(required(search)),
  },
];

// One table for both: what the stand-in does is what Google's own server does.
for (const { name, emulated, skip, start } of servers) {
  /** What Pub/Sub's documentation says and the emulator does not do. */
  const documented = { skip: emulated && 'the emulator does not do it' };
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
      fields: { readonly attributes?: Record<string, string> } = {},
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

    /** A topic and a subscription of it. */
    const pair = async (options: object = {}): Promise<readonly [string, string]> => {
      const topicName = await topic();
      return [topicName, await subscription(topicName, options)];
    };
    const acknowledge = (
      subscriptionName: string,
      ...pulled: readonly Pulled[]
    ): Promise<unknown> => {
      const ackIds = pulled.map(({ ackId }) => ackId);
      return subject.subscriber.acknowledge({ subscription: subscriptionName, ackIds });
    };
    /** Gives a pulled message so many seconds; 0: gives it back. */
    const extend = (
      name: string,
      { ackId }: Pulled,
      ackDeadlineSeconds: number,
    ): Promise<unknown> =>
      subject.subscriber.modifyAckDeadline({
        subscription: name,
        ackIds: [ackId],
        ackDeadlineSeconds,
      });
    const pullOne = async (subscriptionName: string): Promise<Pulled> => {
      const [pulled] = await pull(subscriptionName, 1);
      return pulled ?? assert.fail('nothing was pulled');
    };

    before(async () => {
      subject = await connect(await start());
    });
    after(() => subject.close());

    it('answers with these statuses', async () => {
      const { publisher, subscriber } = subject;
      const [topicName, subscriptionName] = await pair();
      const snapshot = fresh('snapshots');
      await subscriber.createSnapshot({ name: snapshot, subscription: subscriptionName });
      const elsewhere = await subscription(await topic());
      const pushed = await subscription(topicName, { pushConfig: { pushEndpoint: nowhere } });
      const gone = fresh('subscriptions');
      const modify = (ackDeadlineSeconds: number) => (): Promise<unknown> =>
        subscriber.modifyAckDeadline({
          subscription: subscriptionName,
          ackIds: ['1-1'],
          ackDeadlineSeconds,
        });
      const message = { data: Buffer.from('x') };
      const create = (fields: object) => async (): Promise<unknown> =>
        subscriber.createSubscription({
          name: fresh('subscriptions'),
          topic: topicName,
          ...fields,
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
      const attributes = (count: number): Record<string, string> =>
        Object.fromEntries(Array.from({ length: count }, (_unused, index) => [`a${index}`, 'v']));
      const send = (fields: object) => async (): Promise<unknown> =>
        publisher.publish({ topic: topicName, messages: [fields] });
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
        [5, 'pull of nothing', () => subscriber.pull({ subscription: gone, maxMessages: 1 })],
        [5, 'delete nothing', () => subscriber.deleteSubscription({ subscription: gone })],
        [5, 'look at nothing', () => subscriber.getSubscription({ subscription: gone })],
        [3, 'deadline of 601 s', modify(601)],
        [3, 'negative deadline', modify(-1)],
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
      // Pub/Sub's documentation has these; the emulator takes them all.
      const documented: typeof cases = [
        [3, '101 attributes', send({ attributes: attributes(101) })],
        [3, 'empty key', send({ attributes: { '': 'v' } })],
        [3, 'key of 257 bytes', send({ attributes: { ['k'.repeat(257)]: 'v' } })],
        [3, 'key of 129 umlauts', send({ attributes: { ['ä'.repeat(129)]: 'v' } })],
        [3, 'value of 1,025 bytes', send({ attributes: { k: 'v'.repeat(1_025) } })],
        [3, '10 MB and a byte', send({ data: Buffer.alloc(10_000_001) })],
        [3, 'ack deadline 9 s', create({ ackDeadlineSeconds: 9 })],
        [
          9,
          'pull of a push subscription',
          () => subscriber.pull({ subscription: pushed, maxMessages: 1 }),
        ],
      ];
      const different: string[] = [];
      for (const [code, what, request] of emulated ? cases : [...cases, ...documented]) {
        const answered = await request().then(
          () => 0,
          (error: unknown) => (error as { readonly code: unknown }).code,
        );
        if (answered !== code) different.push(`${what}: ${String(answered)}, not ${code}`);
      }
      assert.deepEqual(different, []);
    });

    it('pushes unwrapped, with attributes and metadata as headers', async (t) => {
      const endpoint = await startEndpoint(t);
      const [topicName, subscriptionName] = await pair({
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
      const [topicName, subscriptionName] = await pair({
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
      const [topicName, subscriptionName] = await pair({
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
      const [topicName, subscriptionName] = await pair({
        deadLetterPolicy: { deadLetterTopic: await topic(), maxDeliveryAttempts: 5 },
      });
      await publish(topicName, 'x');
      for (const attempt of [1, 2, 3]) {
        const pulled = await pullOne(subscriptionName);
        assert.equal(pulled.attempt, attempt);
        await extend(subscriptionName, pulled, 0);
      }
    });

    it('seeks to a time: older messages are acknowledged, newer ones come again', async () => {
      const topicName = await topic(3_600);
      const subscriptionName = await subscription(topicName);
      await publish(topicName, 'old');
      await new Promise((resolve) => setTimeout(resolve, 50));
      const time = Date.now();
      await publish(topicName, 'new');
      await acknowledge(subscriptionName, ...(await pull(subscriptionName, 2)));
      await subject.subscriber.seek({
        subscription: subscriptionName,
        time: { seconds: Math.floor(time / 1_000), nanos: (time % 1_000) * 1e6 },
      });
      assert.deepEqual(textsOf(await pull(subscriptionName, 1)), ['new']);
    });

    it('seeks to a snapshot', async () => {
      const [topicName, subscriptionName] = await pair();
      await publish(topicName, 'before');
      await acknowledge(subscriptionName, await pullOne(subscriptionName));
      await publish(topicName, 'in');
      const snapshot = fresh('snapshots');
      await subject.subscriber.createSnapshot({ name: snapshot, subscription: subscriptionName });
      await publish(topicName, 'after');
      await acknowledge(subscriptionName, ...(await pull(subscriptionName, 2)));
      await subject.subscriber.seek({ subscription: subscriptionName, snapshot });
      assert.deepEqual([...textsOf(await pull(subscriptionName, 2))].sort(), ['after', 'in']);
    });

    it('leaves a subscription what it has when its topic is deleted', async () => {
      const [topicName, subscriptionName] = await pair();
      await publish(topicName, 'left');
      await subject.publisher.deleteTopic({ topic: topicName });
      const [{ topic: left }] = await subject.subscriber.getSubscription({
        subscription: subscriptionName,
      });
      assert.equal(left, '_deleted-topic_');
      assert.deepEqual(textsOf(await pull(subscriptionName, 1)), ['left']);
    });

    it('brings a pulled message again once its deadline has passed', async () => {
      const [topicName, subscriptionName] = await pair();
      await publish(topicName, 'late');
      const first = await pullOne(subscriptionName);
      await extend(subscriptionName, first, 1);
      const second = await pullOne(subscriptionName);
      assert.equal(second.text, 'late');
      assert.notEqual(second.ackId, first.ackId);
    });

    it('forgets what is acknowledged', async () => {
      const [topicName, subscriptionName] = await pair();
      await publish(topicName, 'first');
      await acknowledge(subscriptionName, await pullOne(subscriptionName));
      // What would come again would come before a later message, or beside it.
      await publish(topicName, 'second');
      assert.deepEqual(textsOf(await pull(subscriptionName, 1)), ['second']);
    });

    it('streams no more than the flow control lets pass', documented, async () => {
      const [topicName, subscriptionName] = await pair();
      for (const text of ['1', '2', '3']) await publish(topicName, text);
      const stream = subject.subscriber.streamingPull();
      const inbox = inboxOf(stream);
      stream.write({
        subscription: subscriptionName,
        streamAckDeadlineSeconds: 60,
        maxOutstandingMessages: 2,
      });
      const first = await inbox.next();
      const second = await inbox.next();
      assert.equal(inbox.waiting, 0);
      stream.write({ ackIds: [first.ackId] });
      const third = await inbox.next();
      assert.deepEqual([first, second, third].map(({ text }) => text).sort(), ['1', '2', '3']);
      stream.cancel();
    });

    it('streams messages, takes their acknowledgements and brings again what is given back', async () => {
      const [topicName, subscriptionName] = await pair();
      for (const text of ['acknowledged', 'given back']) await publish(topicName, text);
      const stream = subject.subscriber.streamingPull();
      const inbox = inboxOf(stream);
      stream.write({ subscription: subscriptionName, streamAckDeadlineSeconds: 60 });
      const both = [await inbox.next(), await inbox.next()];
      const ackIdOf = (text: string): string =>
        both.find((message) => message.text === text)?.ackId ?? '';
      stream.write({
        ackIds: [ackIdOf('acknowledged')],
        modifyDeadlineAckIds: [ackIdOf('given back')],
        modifyDeadlineSeconds: [0],
      });
      const again = await inbox.next();
      assert.equal(again.text, 'given back');
      assert.notEqual(again.ackId, ackIdOf('given back'));
      stream.cancel();
    });

    const streams: readonly (readonly [string, readonly object[], number])[] = [
      ['of an unknown subscription', [{ subscription: `${project}/subscriptions/none` }], 5],
      ['without a subscription', [{ subscription: '' }], 3],
      ['with a deadline of 9 s', [{ streamAckDeadlineSeconds: 9 }], 3],
      ['with a deadline of 601 s', [{ streamAckDeadlineSeconds: 601 }], 3],
      [
        'with lists of two lengths',
        [{}, { modifyDeadlineAckIds: ['1-1'], modifyDeadlineSeconds: [] }],
        3,
      ],
    ];
    const laterFlowControl: (typeof streams)[number] = [
      'with flow control in a later request',
      [{}, { maxOutstandingMessages: 5 }],
      3,
    ];
    for (const [what, [first, ...later], code] of emulated
      ? streams
      : [...streams, laterFlowControl]) {
      it(`ends a stream ${what}`, async () => {
        const subscriptionName = await subscription(await topic());
        const stream = subject.subscriber.streamingPull();
        const ended = once(stream, 'error') as Promise<[{ readonly code: number }]>;
        stream.write({ subscription: subscriptionName, streamAckDeadlineSeconds: 10, ...first });
        for (const request of later) stream.write(request);
        assert.equal((await ended)[0].code, code);
      });
    }

    it('ends the streams of a subscription that is deleted', async () => {
      const [topicName, subscriptionName] = await pair();
      await publish(topicName, 'x');
      const stream = subject.subscriber.streamingPull();
      const ended = once(stream, 'error') as Promise<[{ readonly code: number }]>;
      const inbox = inboxOf(stream);
      stream.write({ subscription: subscriptionName, streamAckDeadlineSeconds: 10 });
      await inbox.next();
      await subject.subscriber.deleteSubscription({ subscription: subscriptionName });
      assert.equal((await ended)[0].code, 5);
    });

    it(
      'closes a push that has no answer within the ack deadline, and repeats it',
      documented,
      async (t) => {
        const endpoint = await startEndpoint(t, ({ index }) => (index === 0 ? undefined : 204));
        const topicName = await topic();
        await subscription(topicName, {
          ackDeadlineSeconds: 10,
          pushConfig: { pushEndpoint: endpoint.url },
        });
        await publish(topicName, 'slow');
        await (
          await endpoint.next()
        ).abandoned;
        assert.equal(textOf(await endpoint.next()), 'slow');
      },
    );

    it('pushes to another endpoint, and is pulled, when told to', async (t) => {
      const endpoint = await startEndpoint(t);
      const [topicName, subscriptionName] = await pair({
        pushConfig: { pushEndpoint: nowhere },
        retryPolicy: { minimumBackoff: { nanos: 1e8 }, maximumBackoff: { nanos: 1e8 } },
      });
      await publish(topicName, 'moved');
      await subject.subscriber.modifyPushConfig({
        subscription: subscriptionName,
        pushConfig: { pushEndpoint: endpoint.url },
      });
      assert.equal(textOf(await endpoint.next()), 'moved');
      await subject.subscriber.modifyPushConfig({ subscription: subscriptionName, pushConfig: {} });
      await publish(topicName, 'pulled');
      assert.deepEqual(textsOf(await pull(subscriptionName, 1)), ['pulled']);
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

/** The messages of a stream. */
interface Inbox {
  readonly waiting: number;
  readonly next: () => Promise<{ readonly text: string; readonly ackId: string }>;
}

function inboxOf(stream: ReturnType<v1.SubscriberClient['streamingPull']>): Inbox {
  const arrived: { readonly text: string; readonly ackId: string }[] = [];
  const events = new EventEmitter();
  // A stream that is cancelled says so.
  stream.on('error', () => undefined);
  stream.on(
    'data',
    ({
      receivedMessages,
    }: {
      receivedMessages: { ackId: string; message: { data: Buffer } }[];
    }) => {
      for (const { ackId, message } of receivedMessages) {
        arrived.push({ ackId, text: Buffer.from(message.data).toString() });
      }
      events.emit('arrived');
    },
  );
  return {
    get waiting() {
      return arrived.length;
    },
    next: async () => {
      for (;;) {
        const message = arrived.shift();
        if (message !== undefined) return message;
        await once(events, 'arrived');
      }
    },
  };
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
